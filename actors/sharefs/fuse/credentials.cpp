#include "actors/sharefs/fuse/credentials.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace troupe::fuse {
namespace {

constexpr std::uint64_t bit(unsigned capability) {
  return std::uint64_t{1} << capability;
}

/// What acting for the guest's root takes. SETUID and SETGID are there to act for others.
constexpr std::uint64_t worker_capabilities =
    bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH) | bit(CAP_FOWNER) |
    bit(CAP_FSETID) | bit(CAP_SETGID) | bit(CAP_SETUID) | bit(CAP_MKNOD) | bit(CAP_SETFCAP);
/// What is left while acting for another user.
constexpr std::uint64_t user_capabilities =
    bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH) | bit(CAP_SETGID) | bit(CAP_SETUID);

struct capability_sets {
  std::uint64_t effective = 0;
  std::uint64_t permitted = 0;
};

// The system calls, not the libc wrappers: those change every thread of the process.
capability_sets get_capabilities() noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  ::syscall(SYS_capget, &header, data.data());
  return {data[0].effective | std::uint64_t{data[1].effective} << 32,
          data[0].permitted | std::uint64_t{data[1].permitted} << 32};
}

bool set_capabilities(const capability_sets& sets) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  for (unsigned half = 0; half < 2; ++half) {
    data.at(half).effective = static_cast<std::uint32_t>(sets.effective >> (32 * half));
    data.at(half).permitted = static_cast<std::uint32_t>(sets.permitted >> (32 * half));
  }
  return ::syscall(SYS_capset, &header, data.data()) == 0;
}

/// Switches the effective set only, to what is permitted of it.
void set_effective(std::uint64_t wanted) noexcept {
  auto sets = get_capabilities();
  sets.effective = wanted & sets.permitted;
  set_capabilities(sets);
}

// An invalid id changes nothing and answers the current one.
uid_t current_fsuid() noexcept {
  return static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1)));
}
gid_t current_fsgid() noexcept {
  return static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1)));
}

} // namespace

outcome<void> prepare_worker_thread() {
  if (::unshare(CLONE_FS) != 0)
    return failed{fail_errno("fs worker: unshare umask", errno)};
  ::umask(0);
  if (::geteuid() != 0)
    return {};
  if (::syscall(SYS_setgroups, 0, nullptr) != 0)
    return failed{fail_errno("fs worker: drop groups", errno)};
  const auto kept = get_capabilities().permitted & worker_capabilities;
  if (!set_capabilities({kept, kept}))
    return failed{fail_errno("fs worker: drop capabilities", errno)};
  return {};
}

acting_as::acting_as(std::uint32_t user, std::uint32_t group) noexcept
    : user_(user), group_(group) {
  if (group_ != 0) {
    ::setfsgid(group_);
    switched_ = current_fsgid() == group_;
  }
  if (user_ != 0) {
    before_ = get_capabilities().effective;
    // Leaving root takes CHOWN, DAC_*, FOWNER, FSETID and MKNOD away by itself; going back gives
    // them back. The two DAC rights are raised again.
    ::setfsuid(user_);
    switched_ = switched_ && current_fsuid() == user_;
    set_effective(user_capabilities);
  }
}

acting_as::~acting_as() {
  if (user_ != 0) {
    ::setfsuid(::geteuid());
    set_effective(before_);
  }
  if (group_ != 0)
    ::setfsgid(::getegid());
}

answer<void> acting_as::check() const noexcept {
  if (!switched_)
    return refuse(EPERM);
  return {};
}

killing_suid::killing_suid(bool wanted) noexcept {
  if (!wanted)
    return;
  before_ = get_capabilities().effective;
  set_effective(before_ & ~bit(CAP_FSETID));
  dropped_ = true;
}

killing_suid::~killing_suid() {
  if (dropped_)
    set_effective(before_);
}

} // namespace troupe::fuse
