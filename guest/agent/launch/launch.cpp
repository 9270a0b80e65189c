#include "guest/agent/launch/launch.hpp"

#include "guest/agent/launch/child.hpp"
#include "guest/agent/launch/mount_namespace.hpp"
#include "messages/vocabulary/log.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <thread>

namespace troupe::guest {
namespace {

struct pipe_pair {
  unique_fd read;
  unique_fd write;
};

outcome<pipe_pair> make_pipe(std::uint32_t bytes) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return fail_errno("start process: pipe", errno);
  pipe_pair pair{unique_fd{ends[0]}, unique_fd{ends[1]}};
  if (bytes != 0)
    (void)::fcntl(pair.read.get(), F_SETPIPE_SZ, static_cast<int>(bytes)); // a wish
  return pair;
}

outcome<void> no_waiting(int fd) {
  if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
    return fail_errno("start process: O_NONBLOCK", errno);
  return {};
}

/// Lets the next fork of this thread put its child into another pid namespace. Only the thread's
/// children are concerned, not the thread; and only for the lifetime of this object.
class pid_namespace_for_children {
public:
  outcome<void> enter(const launch_request& request) {
    own_.reset(::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
    if (!own_)
      return fail_errno("start process: own pid namespace", errno);
    const int target = request.container == nullptr ? request.init_pidfd : request.pid_namespace;
    const int r = target >= 0 ? ::setns(target, CLONE_NEWPID) : ::unshare(CLONE_NEWPID);
    if (r != 0)
      return fail_errno("start process: pid namespace", errno);
    return {};
  }
  pid_namespace_for_children() = default;
  pid_namespace_for_children(const pid_namespace_for_children&) = delete;
  pid_namespace_for_children& operator=(const pid_namespace_for_children&) = delete;
  ~pid_namespace_for_children() {
    if (own_ && ::setns(own_.get(), CLONE_NEWPID) != 0)
      log::error("launch", "this thread cannot return to its pid namespace: errno {}", errno);
  }

private:
  unique_fd own_;
};

struct streams {
  pipe_pair input;
  pipe_pair output;
  pipe_pair error;
};

outcome<streams> make_streams(const launch_request& request) {
  streams made;
  if (request.process->terminal)
    return made;
  made.input = TRY(make_pipe(request.pipe_bytes));
  made.output = TRY(make_pipe(request.pipe_bytes));
  made.error = TRY(make_pipe(request.pipe_bytes));
  TRY(no_waiting(made.input.write.get()));
  TRY(no_waiting(made.output.read.get()));
  TRY(no_waiting(made.error.read.get()));
  return made;
}

outcome<pid_t> fork_child(const launch_request& request, const child_ends& ends) {
  pid_namespace_for_children scope;
  TRY(scope.enter(request));
  const pid_t pid = ::fork();
  if (pid == 0)
    run_child(request, ends);
  if (pid < 0)
    return fail_errno("start process: fork", errno);
  return pid;
}

/// The same from a thread that has mounts of its own and ends.
outcome<pid_t> fork_apart(const launch_request& request, const child_ends& ends,
                          unique_fd& mounts) {
  outcome<pid_t> pid;
  const auto work = [&]() -> outcome<pid_t> {
    mounts = TRY(unshare_mounts());
    return fork_child(request, ends);
  };
  try {
    std::thread{[&] { pid = work(); }}.join();
  } catch (const std::system_error& error) {
    return fail_errno("start process: thread", error.code().value());
  }
  return pid;
}

} // namespace

outcome<launched> launch(const launch_request& request) {
  auto channel = TRY(make_sync_pair());
  auto pipes = TRY(make_streams(request));
  launched made;
  const child_ends ends{channel.child.get(), pipes.input.read.get(), pipes.output.write.get(),
                        pipes.error.write.get()};
  made.pid = TRY(request.container != nullptr ? fork_apart(request, ends, made.mount_namespace)
                                              : fork_child(request, ends));
  // Nobody can have reaped it yet: the reaper keeps unknown children until launches are settled.
  made.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, made.pid, 0)));
  made.sync = std::move(channel.agent);
  made.input = std::move(pipes.input.write);
  made.output = std::move(pipes.output.read);
  made.error = std::move(pipes.error.read);
  return made;
}

} // namespace troupe::guest
