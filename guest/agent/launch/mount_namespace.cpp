#include "guest/agent/launch/mount_namespace.hpp"

#include "messages/vocabulary/units.hpp"

#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <sys/statfs.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>

namespace troupe::guest {
namespace {

/// For reads that a host with several threads answers out of order.
constexpr milliseconds settling_time{100};
/// The first answer comes after the reads, which then send the releases; the second after those.
constexpr int rounds = 2;

/// A question to the host, behind all that were asked before.
void ask_each_share() {
  struct closer {
    void operator()(FILE* it) const noexcept { ::endmntent(it); }
  };
  const std::unique_ptr<FILE, closer> mounts{::setmntent("/proc/self/mounts", "re")};
  while (mounts) {
    const auto* const one = ::getmntent(mounts.get());
    if (one == nullptr)
      return;
    struct statfs ignored {};
    if (std::string_view{one->mnt_type} == "virtiofs")
      (void)::statfs(one->mnt_dir, &ignored);
  }
}

} // namespace

outcome<unique_fd> unshare_mounts() {
  if (::unshare(CLONE_NEWNS) != 0)
    return fail_errno("mount namespace: unshare", errno);
  unique_fd fd{::open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC)};
  if (!fd)
    return fail_errno("mount namespace: open", errno);
  return fd;
}

void mount_keeper::keep(unique_fd mount_namespace) {
  const std::lock_guard lock{guard_};
  kept_.push_back(std::move(mount_namespace));
}

void mount_keeper::let_go() {
  std::unique_lock lock{guard_};
  if (std::exchange(busy_, true))
    return;
  while (!kept_.empty()) {
    auto some = std::exchange(kept_, {});
    lock.unlock();
    std::this_thread::sleep_for(settling_time);
    for (int i = 0; i < rounds; ++i)
      ask_each_share();
    some.clear();
    lock.lock();
  }
  busy_ = false;
}

} // namespace troupe::guest
