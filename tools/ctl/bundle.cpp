#include "tools/ctl/bundle.hpp"

#include "messages/vocabulary/unique_fd.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>

#include <cerrno>

namespace troupe::ctl {
namespace {

using nlohmann::ordered_json;

constexpr const char* default_path =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::uint64_t open_files = 1024;

ordered_json capabilities() {
  const ordered_json all = {
      "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
      "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
      "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
      "CAP_KILL",    "CAP_AUDIT_WRITE"};
  return {{"bounding", all}, {"effective", all}, {"permitted", all}};
}

std::vector<std::string> environment(const process_order& from) {
  std::vector<std::string> out{default_path};
  if (from.terminal)
    out.emplace_back("TERM=xterm");
  for (const auto& entry : from.env) {
    const auto key = entry.substr(0, entry.find('=') + 1);
    std::erase_if(out, [&](const std::string& other) { return other.starts_with(key); });
    out.push_back(entry);
  }
  return out;
}

ordered_json process(const process_order& from) {
  return {
      {"terminal", from.terminal},
      {"user", {{"uid", from.uid}, {"gid", from.gid}}},
      {"args", from.args},
      {"env", environment(from)},
      {"cwd", from.cwd},
      {"capabilities", capabilities()},
      {"rlimits", ordered_json::array(
                      {{{"type", "RLIMIT_NOFILE"}, {"hard", open_files}, {"soft", open_files}}})},
      {"noNewPrivileges", true}};
}

ordered_json mount(const char* type, const char* source, const char* destination,
                   std::vector<std::string> options) {
  return {{"destination", destination}, {"type", type}, {"source", source}, {"options", options}};
}

ordered_json mounts() {
  return ordered_json::array(
      {mount("proc", "proc", "/proc", {"nosuid", "noexec", "nodev"}),
       mount("tmpfs", "tmpfs", "/dev", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
       mount("devpts", "devpts", "/dev/pts",
             {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
       mount("tmpfs", "shm", "/dev/shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
       mount("mqueue", "mqueue", "/dev/mqueue", {"nosuid", "noexec", "nodev"}),
       mount("sysfs", "sysfs", "/sys", {"nosuid", "noexec", "nodev", "ro"}),
       mount("tmpfs", "tmpfs", "/run", {"nosuid", "strictatime", "mode=755", "size=65536k"})});
}

ordered_json linux_part() {
  ordered_json spaces = ordered_json::array();
  for (const char* type : {"pid", "ipc", "uts", "mount", "network"})
    spaces.push_back({{"type", type}});
  return {
      {"namespaces", spaces},
      {"resources", {{"devices", ordered_json::array({{{"allow", false}, {"access", "rwm"}}})}}},
      {"maskedPaths",
       {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",
        "/proc/scsi"}},
      {"readonlyPaths",
       {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}}};
}

/// Words of a command line need not be UTF-8; JSON must be.
std::string dump(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

} // namespace

std::string process_json(const process_order& from) {
  return dump(process(from));
}

std::string bundle_json(const process_order& from, const std::string& rootfs,
                        const std::string& hostname) {
  return dump({{"ociVersion", "1.0.2"},
               {"process", process(from)},
               {"root", {{"path", rootfs}, {"readonly", false}}},
               {"hostname", hostname},
               {"mounts", mounts()},
               {"linux", linux_part()}});
}

outcome<void> write_bundle(const std::string& folder, const std::string& json) {
  const auto path = folder + "/config.json";
  const unique_fd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (!file)
    return fail_errno("open " + path, errno);
  for (std::size_t at = 0; at < json.size();) {
    const auto n = ::write(file.get(), json.data() + at, json.size() - at);
    if (n < 0)
      return fail_errno("write " + path, errno);
    at += static_cast<std::size_t>(n);
  }
  return {};
}

} // namespace troupe::ctl
