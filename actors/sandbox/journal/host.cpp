#include "actors/sandbox/journal/beneath.hpp"
#include "actors/sandbox/journal/link.hpp"
#include "actors/sandbox/journal/process_info.hpp"
#include "actors/sandbox/journal/undo.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <thread>

namespace troupe::journal {
namespace {

/// Namespaces are mounted once; a few more can pile up when `ip netns` remounts its folder.
constexpr int max_stacked_mounts = 8;
constexpr milliseconds cgroup_retry{5};
constexpr int longest_poll_ms = 60000;

int poll_timeout(time_point deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - monotonic_clock::now()).count();
  return static_cast<int>(std::clamp<long>(left, 0, longest_poll_ms));
}

// -- process
// ---------------------------------------------------------------------------------------

/// Opens the pidfd before it looks at /proc: what is looked at is then what will be killed, or it
/// is gone and the kill hits nothing.
outcome<void> end_process(const process_effect& e, time_point deadline) {
  const unique_fd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, e.pid, 0))};
  if (!pidfd && errno == ESRCH)
    return {};
  if (!pidfd)
    return fail_errno("process: pidfd_open", errno);
  const auto info = inspect(e.pid);
  if (!info || info->dead() || info->start_time != e.start_time)
    return {};
  if (!argv_contains(e.pid, e.token)) {
    const auto again = inspect(e.pid); // a process that dies just now has no argv any more
    if (!again || again->dead() || again->start_time != e.start_time)
      return {};
    return fail(errc::failed_precondition, "process {}: its argv lacks our token", e.pid);
  }
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) != 0)
    return errno == ESRCH ? outcome<void>{} : fail_errno("process: SIGKILL", errno);
  pollfd gone{pidfd.get(), POLLIN, 0};
  if (::poll(&gone, 1, poll_timeout(deadline)) <= 0)
    return fail(errc::deadline_exceeded, "process {}: still there after SIGKILL", e.pid);
  return {};
}

/// The writer died between the spawn and the record of the pid: the token finds the process.
outcome<void> end_by_token(const process_effect& e, time_point deadline) {
  outcome<void> result;
  for (const auto pid : find_by_token(e.token)) {
    const auto info = inspect(pid);
    if (!info)
      continue;
    if (auto ended = end_process({pid, info->start_time, e.token}, deadline); !ended)
      result = ended;
  }
  return result;
}

// -- mounts
// ----------------------------------------------------------------------------------------

struct mount_point {
  bool mounted = false;
  std::uint64_t id = 0;
};

/// What is mounted on that name, seen from above; a symlink is not followed.
outcome<mount_point> look_at(const entry& where) {
  const unique_fd top{
      ::openat(where.folder.get(), where.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
  if (!top && errno == ENOENT)
    return mount_point{};
  if (!top)
    return fail_errno("mount: open " + where.name, errno);
  struct statx st {};
  if (::statx(top.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &st) != 0)
    return fail_errno("mount: statx " + where.name, errno);
  return mount_point{(st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0, st.stx_mnt_id};
}

outcome<void> detach(const entry& where) {
  // umount2(2) has no dirfd form; the magic link leads to the folder we hold, whatever was renamed
  // meanwhile, and UMOUNT_NOFOLLOW guards the last component.
  const auto path = fmt::format("/proc/self/fd/{}/{}", where.folder.get(), where.name);
  if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
    return fail_errno("mount: umount " + where.name, errno);
  return {};
}

outcome<void> unmount(const mount_effect& e, const root_table& roots) {
  const auto where = TRY(find_beneath(roots, e.target, mounts::cross));
  if (!where)
    return {};
  const auto found = TRY(look_at(*where));
  if (!found.mounted)
    return {};
  if (e.mount_id != 0 && found.id != e.mount_id)
    return fail(errc::failed_precondition, "mount {}: mount {} is there, ours was {}",
                e.target.path, found.id, e.mount_id);
  return detach(*where);
}

// -- names
// -----------------------------------------------------------------------------------------

outcome<void> unlink(const located& what, const root_table& roots, int flags) {
  const auto where = TRY(find_beneath(roots, what, mounts::refuse));
  if (!where || ::unlinkat(where->folder.get(), where->name.c_str(), flags) == 0 || errno == ENOENT)
    return {};
  return fail_errno("remove " + what.path, errno);
}

outcome<void> remove_netns(const netns_effect& e, const root_table& roots) {
  const auto where = TRY(find_beneath(roots, e.where, mounts::cross));
  if (!where)
    return {};
  for (int i = 0; i < max_stacked_mounts && TRY(look_at(*where)).mounted; ++i)
    TRY(detach(*where));
  return unlink(e.where, roots, 0);
}

/// Kills what is in it. Only v2 can; in v1 its processes are journalled themselves.
void empty_cgroup(const entry& where) {
  const auto path = where.name + "/cgroup.kill";
  const unique_fd kill{::openat(where.folder.get(), path.c_str(), O_WRONLY | O_CLOEXEC)};
  if (kill && ::write(kill.get(), "1", 1) < 0)
    return; // an old kernel; the rmdir below tells the rest
}

outcome<void> remove_cgroup(const cgroup_effect& e, const root_table& roots, time_point deadline) {
  const auto where = TRY(find_beneath(roots, e.where, mounts::cross));
  if (!where)
    return {};
  empty_cgroup(*where);
  while (::unlinkat(where->folder.get(), where->name.c_str(), AT_REMOVEDIR) != 0) {
    if (errno == ENOENT)
      return {};
    if (errno != EBUSY)
      return fail_errno("cgroup: remove " + e.where.path, errno);
    if (monotonic_clock::now() + cgroup_retry > deadline)
      return fail(errc::deadline_exceeded, "cgroup: {} is still in use", e.where.path);
    std::this_thread::sleep_for(cgroup_retry); // v1 has no event for "empty"
  }
  return {};
}

struct undoer {
  const root_table& roots;
  time_point deadline;

  outcome<void> operator()(const process_effect& e) const {
    return e.pid == 0 ? end_by_token(e, deadline) : end_process(e, deadline);
  }
  outcome<void> operator()(const mount_effect& e) const { return unmount(e, roots); }
  outcome<void> operator()(const directory_effect& e) const {
    return unlink(e.where, roots, AT_REMOVEDIR);
  }
  outcome<void> operator()(const file_effect& e) const { return unlink(e.where, roots, 0); }
  outcome<void> operator()(const netns_effect& e) const { return remove_netns(e, roots); }
  outcome<void> operator()(const tap_effect& e) const {
    return delete_link(e.netns, e.name, deadline);
  }
  outcome<void> operator()(const cgroup_effect& e) const {
    return remove_cgroup(e, roots, deadline);
  }
};

class linux_effects final : public host_effects {
public:
  outcome<void> undo(const effect& what, const root_table& roots, time_point deadline) override {
    TRY(check(what));
    TRY(check(roots));
    return std::visit(undoer{roots, deadline}, what);
  }
  time_point now() const override { return monotonic_clock::now(); }
};

} // namespace

std::unique_ptr<host_effects> make_host_effects() {
  return std::make_unique<linux_effects>();
}

} // namespace troupe::journal
