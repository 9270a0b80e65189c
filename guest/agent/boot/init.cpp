#include "guest/agent/boot/init.hpp"

#include "messages/vocabulary/log.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace troupe::guest {
namespace {

constexpr const char* who = "init";
/// Longest command line a kernel takes here.
constexpr std::size_t max_cmdline = 4096;

struct system_mount {
  const char* type;
  const char* target;
  unsigned long flags;
  const char* options;
  bool needed;
};

constexpr unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;

constexpr std::array<system_mount, 8> system_mounts{{
    {"proc", "/proc", plain, nullptr, true},
    {"sysfs", "/sys", plain, nullptr, false},
    {"devtmpfs", "/dev", MS_NOSUID, "mode=755", true},
    {"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", false},
    {"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "ptmxmode=666,mode=620,gid=5", false},
    {"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755", true},
    {"tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777", false},
    {"cgroup2", "/sys/fs/cgroup", plain, "nsdelegate", false},
}};

outcome<void> mount_one(const system_mount& what) {
  ::mkdir(what.target, 0755);
  if (::mount(what.type, what.target, what.type, what.flags, what.options) == 0)
    return {};
  if (errno == EBUSY) // the kernel was there first (CONFIG_DEVTMPFS_MOUNT)
    return {};
  auto why = fail_errno(fmt::format("mount {} on {}", what.type, what.target), errno);
  if (what.needed)
    return why;
  log::warn(who, "{}", why.value().text);
  return {};
}

void raise_loopback() {
  const unique_fd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (!fd || ::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0)
    log::warn(who, "loopback: errno {}", errno);
}

} // namespace

outcome<void> enter_own_root() {
  constexpr const char* step = "/run"; // any directory that is there
  if (::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0)
    return fail_errno("own root: read-only", errno);
  if (::mount("/", step, nullptr, MS_BIND, nullptr) != 0)
    return fail_errno("own root: bind", errno);
  if (::chdir(step) != 0 || ::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 ||
      ::chroot(".") != 0 || ::chdir("/") != 0)
    return fail_errno("own root: move", errno);
  return {};
}

outcome<void> mount_system() {
  for (const auto& what : system_mounts)
    TRY(mount_one(what));
  ::unlink("/dev/ptmx");
  if (::symlink("pts/ptmx", "/dev/ptmx") != 0)
    log::warn(who, "symlink /dev/ptmx: errno {}", errno);
  return {};
}

void settle_system() {
  raise_loopback();
  constexpr std::string_view name = "localhost";
  if (::sethostname(name.data(), name.size()) != 0)
    log::warn(who, "hostname: errno {}", errno);
  ::setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin", 1);
}

std::string read_cmdline() {
  const unique_fd fd{::open("/proc/cmdline", O_RDONLY | O_CLOEXEC)};
  std::string text(max_cmdline, '\0');
  const auto got = fd ? ::read(fd.get(), text.data(), text.size()) : 0;
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

void power_off() {
  ::sync();
  ::reboot(RB_POWER_OFF);
  ::reboot(RB_AUTOBOOT); // no power to turn off: a reset ends the machine as well
  for (;;)
    ::pause();
}

void shield_from_oom() {
  const unique_fd fd{::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)};
  constexpr std::string_view never = "-1000";
  if (!fd || ::write(fd.get(), never.data(), never.size()) < 0)
    log::debug(who, "oom_score_adj: errno {}", errno);
}

} // namespace troupe::guest
