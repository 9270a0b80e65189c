#include "actors/sandbox/hypervisor/qemu/host.hpp"

#include "messages/vocabulary/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <elf.h>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/stat.h>

namespace troupe::hypervisor::qemu {
namespace {

constexpr double max_mhz = 100000;

outcome<unique_fd> open_regular(std::string_view key, const std::string& path) {
  unique_fd fd{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  if (!fd && (errno == ENOENT || errno == ENOTDIR))
    return fail(errc::not_found, "{}: {} does not exist", key, path);
  if (!fd)
    return fail_errno(fmt::format("{}: open {}", key, path), errno);
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0)
    return fail_errno(fmt::format("{}: stat {}", key, path), errno);
  if (!S_ISREG(st.st_mode))
    return fail(errc::invalid_argument, "{}: {} is no regular file", key, path);
  return fd;
}

outcome<void> check_kernel(const std::string& path) {
  const auto fd = TRY(open_regular("kernel", path));
  std::array<char, EI_NIDENT> ident{};
  const auto n = ::read(fd.get(), ident.data(), ident.size());
  const std::string_view magic{ident.data(), SELFMAG};
  if (n != static_cast<ssize_t>(ident.size()) || magic != ELFMAG || ident[EI_CLASS] != ELFCLASS64)
    return fail(errc::invalid_argument, "kernel: {} is no 64-bit ELF image (a vmlinux is wanted)",
                path);
  return {};
}

outcome<void> check_binary(const std::string& path) {
  TRY(open_regular("path", path));
  if (::access(path.c_str(), X_OK) != 0)
    return fail(errc::invalid_argument, "path: {} is not executable", path);
  return {};
}

outcome<void> check_folder(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode))
    return fail(errc::not_found, "run_directory: {} is no folder", path);
  return {};
}

outcome<void> check_kvm() {
  const unique_fd fd{::open("/dev/kvm", O_RDWR | O_CLOEXEC)};
  if (!fd)
    return fail(errc::failed_precondition, "/dev/kvm: cannot be opened (errno {})", errno);
  return {};
}

milliseconds ticks(long count) {
  static const long per_second = ::sysconf(_SC_CLK_TCK);
  return milliseconds{count * 1000 / per_second};
}

} // namespace

std::uint32_t parse_tsc_khz(std::string_view cpuinfo) {
  const auto line = cpuinfo.find("cpu MHz");
  const auto colon = cpuinfo.find(": ", line == cpuinfo.npos ? cpuinfo.size() : line);
  if (colon == cpuinfo.npos)
    return 0;
  double mhz = 0;
  const auto* end = cpuinfo.data() + cpuinfo.size();
  if (std::from_chars(cpuinfo.data() + colon + 2, end, mhz).ec != std::errc{} || !(mhz > 0) ||
      mhz > max_mhz)
    return 0;
  return static_cast<std::uint32_t>(std::lround(mhz * 1000));
}

host_facts read_host_facts() {
  std::ifstream file{"/proc/cpuinfo"};
  std::string text;
  for (std::string line; std::getline(file, line) && !line.empty();)
    text += line + "\n";
  return {parse_tsc_khz(text)};
}

outcome<void> check_files(const machine_config& config) {
  TRY(check_binary(config.binary));
  TRY(check_kernel(config.kernel));
  TRY(open_regular("initrd", config.initrd));
  TRY(check_folder(config.run_directory));
  for (const auto& device : config.devices) {
    const auto* block = std::get_if<block_device>(&device);
    if (block != nullptr && ::access(block->path.c_str(), R_OK) != 0)
      return fail(errc::not_found, "block {}: {} cannot be read", block->id, block->path);
  }
  return config.accel == accelerator::kvm ? check_kvm() : outcome<void>{};
}

outcome<machine_metrics> read_usage(pid_t pid) {
  std::ifstream stat_file{fmt::format("/proc/{}/stat", pid)};
  std::ifstream statm{fmt::format("/proc/{}/statm", pid)};
  std::string line;
  long pages = 0;
  long resident = 0;
  if (!std::getline(stat_file, line) || !(statm >> pages >> resident))
    return fail(errc::machine_gone, "qemu: process {} has ended", pid);
  std::istringstream fields{line.substr(line.rfind(')') + 1)};
  std::string skipped;
  for (int field = 3; field < 14; ++field) // proc(5): state is 3, utime 14, num_threads 20
    fields >> skipped;
  long user = 0;
  long system = 0;
  long threads = 0;
  fields >> user >> system;
  for (int field = 16; field < 20; ++field)
    fields >> skipped;
  if (!(fields >> threads))
    return fail(errc::host_io, "qemu: read /proc/{}/stat", pid);
  machine_metrics metrics;
  metrics.user_time = ticks(user);
  metrics.system_time = ticks(system);
  metrics.resident =
      static_cast<byte_count>(resident) * static_cast<byte_count>(::sysconf(_SC_PAGESIZE));
  metrics.threads = static_cast<std::uint32_t>(threads);
  return metrics;
}

} // namespace troupe::hypervisor::qemu
