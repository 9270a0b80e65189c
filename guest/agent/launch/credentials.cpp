#include "guest/agent/launch/credentials.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace troupe::guest {
namespace {

/// Bits of capabilities the kernel could ever have.
constexpr unsigned kernel_capabilities = 64;

outcome<void> set_rlimits(const process_plan& plan) {
  for (const auto& limit : plan.rlimits)
    if (::setrlimit(static_cast<__rlimit_resource_t>(limit.resource), &limit.value) != 0)
      return fail_errno(fmt::format("process.rlimits: limit {}", limit.resource), errno);
  return {};
}

outcome<void> drop_bounding(capability_mask keep) {
  for (unsigned bit = 0; bit < kernel_capabilities; ++bit) {
    if ((keep >> bit & 1) != 0 || ::prctl(PR_CAPBSET_READ, bit, 0, 0, 0) != 1)
      continue;
    if (::prctl(PR_CAPBSET_DROP, bit, 0, 0, 0) != 0)
      return fail_errno("process.capabilities.bounding", errno);
  }
  return {};
}

outcome<void> set_capabilities(const capability_sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  for (unsigned half = 0; half < 2; ++half) {
    const auto part = [half](capability_mask mask) {
      return static_cast<std::uint32_t>(mask >> (32 * half));
    };
    data[half] = {part(sets.effective), part(sets.permitted), part(sets.inheritable)};
  }
  if (::syscall(SYS_capset, &header, data.data()) != 0)
    return fail_errno("process.capabilities", errno);
  return {};
}

/// An ambient capability must be permitted and inheritable too; one that is not is left out, as
/// every runtime does.
void set_ambient(const capability_sets& sets) noexcept {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (unsigned bit = 0; bit < kernel_capabilities; ++bit)
    if ((sets.ambient >> bit & 1) != 0)
      ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0);
}

/// A change of uid emptied the effective set; loading a filter needs it once more.
outcome<void> raise_permitted() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0)
    return fail_errno("process.capabilities: read", errno);
  for (auto& half : data)
    half.effective = half.permitted;
  if (::syscall(SYS_capset, &header, data.data()) != 0)
    return fail_errno("process.capabilities: raise", errno);
  return {};
}

outcome<void> load_filter(const seccomp_plan& filter) {
  if (filter.program.empty())
    return {};
  sock_fprog program{};
  program.len = static_cast<unsigned short>(filter.program.size());
  program.filter = const_cast<sock_filter*>(filter.program.data()); // the kernel only reads it
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter.flags, &program) != 0)
    return fail_errno("linux.seccomp: load", errno);
  return {};
}

} // namespace

outcome<void> become_user(const process_plan& plan, const capability_sets& wanted) {
  TRY(set_rlimits(plan));
  TRY(drop_bounding(wanted.bounding));
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
    return fail_errno("process.user: keep capabilities", errno);
  if (::setgroups(plan.groups.size(), plan.groups.data()) != 0)
    return fail_errno("process.user.additionalGids", errno);
  if (::setresgid(plan.gid, plan.gid, plan.gid) != 0)
    return fail_errno("process.user.gid", errno);
  if (::setresuid(plan.uid, plan.uid, plan.uid) != 0)
    return fail_errno("process.user.uid", errno);
  return {};
}

outcome<void> drop_privileges(const process_plan& plan, const capability_sets& wanted,
                              const seccomp_plan& filter) {
  if (plan.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail_errno("process.noNewPrivileges", errno);
  if (!plan.no_new_privileges) {
    TRY(raise_permitted());
    TRY(load_filter(filter));
  }
  TRY(set_capabilities(wanted));
  set_ambient(wanted);
  if (plan.no_new_privileges)
    TRY(load_filter(filter));
  return {};
}

} // namespace troupe::guest
