#include "guest/agent/launch/child.hpp"

#include "guest/agent/launch/credentials.hpp"
#include "guest/agent/launch/in_root.hpp"
#include "guest/agent/launch/program.hpp"
#include "guest/agent/launch/rootfs.hpp"
#include "guest/agent/launch/terminal.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <vector>

namespace troupe::guest {
namespace {

/// Exit status of a child that never became its program.
constexpr int failed_launch = 127;
constexpr int all_namespaces_of_init = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

outcome<void> reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal)
    ::signal(signal, SIG_DFL); // not possible for some, and not needed there
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0)
    return fail_errno("start process: unblock signals", errno);
  return {};
}

/// Closes every descriptor but these: sockets of the agent and directories of the guest must not be
/// there when paths of the container are walked (CVE-2024-21626).
void close_all_but(std::vector<int> keep) {
  std::sort(keep.begin(), keep.end());
  unsigned next = 0;
  for (const int fd : keep) {
    if (fd < 0)
      continue;
    const auto number = static_cast<unsigned>(fd);
    if (number > next)
      ::close_range(next, number - 1, 0);
    next = number + 1;
  }
  ::close_range(next, ~0u, 0);
}

outcome<void> enter_cgroup(const cgroup& group) {
  const auto procs = TRY(group.open_procs());
  if (::write(procs.get(), "0", 1) == 1)
    return {};
  if (errno != EBUSY)
    return fail_errno("cgroup: enter", errno);
  // The container delegated its cgroup and moved its processes one level down.
  const auto nested = TRY(group.open_procs(true));
  if (::write(nested.get(), "0", 1) != 1)
    return fail_errno("cgroup: enter init", errno);
  return {};
}

outcome<void> set_oom_score(int value) {
  const unique_fd fd{::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)};
  const auto text = fmt::format_int(value).str();
  if (!fd || ::write(fd.get(), text.data(), text.size()) < 0)
    return fail_errno("process.oomScoreAdj", errno);
  return {};
}

outcome<void> join(int ns, int type, std::string_view name) {
  if (ns >= 0 && ::setns(ns, type) != 0)
    return fail_errno(fmt::format("join namespace {}", name), errno);
  return {};
}

outcome<void> make_namespaces(const launch_request& request) {
  TRY(join(request.ipc_namespace, CLONE_NEWIPC, "ipc"));
  TRY(join(request.uts_namespace, CLONE_NEWUTS, "uts"));
  int fresh = request.container->namespaces & ~(CLONE_NEWPID | CLONE_NEWNS); // its parent did
  fresh |= CLONE_NEWCGROUP; // or the container sees, and writes, the whole hierarchy
  if (request.ipc_namespace >= 0)
    fresh &= ~CLONE_NEWIPC;
  if (request.uts_namespace >= 0)
    fresh &= ~CLONE_NEWUTS;
  if (::unshare(fresh) != 0)
    return fail_errno("linux.namespaces: unshare", errno);
  const auto& name = request.container->hostname;
  const bool own_name = (request.container->namespaces & CLONE_NEWUTS) != 0;
  if (own_name && !name.empty() && ::sethostname(name.data(), name.size()) != 0)
    return fail_errno("hostname", errno);
  return {};
}

outcome<void> make_root(const container_plan& plan) {
  const auto root = TRY(attach_root(plan));
  TRY(mount_all(root.get(), plan));
  TRY(make_devices(root.get(), plan));
  TRY(write_sysctls(plan));
  TRY(cover_paths(root.get(), plan));
  return enter_root(root.get());
}

outcome<void> prepare_cwd(const process_plan& plan) {
  const unique_fd root{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  (void)make_dir_in_root(root.get(), plan.cwd); // chdir will say what is wrong
  return {};
}

/// Streams of a process without a terminal. The new owner may open them again (/dev/stdout).
outcome<void> take_pipes(const child_ends& ends, uid_t owner) {
  const std::array<int, 3> from{ends.input, ends.output, ends.error};
  for (int fd = 0; fd <= 2; ++fd) {
    const int source = from[static_cast<std::size_t>(fd)];
    if (::dup2(source, fd) < 0 || ::fchown(fd, owner, static_cast<gid_t>(-1)) != 0)
      return fail_errno("start process: streams", errno);
  }
  return {};
}

class child {
public:
  child(const launch_request& request, const child_ends& ends)
      : request_(request), plan_(*request.process), ends_(ends),
        wanted_(plan_.capabilities.value_or(request.fallback)) {}

  /// Returns only with a failure.
  failure run() {
    const auto done = set_up();
    return done ? failure{} : done.error();
  }

  [[nodiscard]] int sync() const noexcept { return ends_.sync; }

private:
  outcome<void> set_up() {
    TRY(reset_signals());
    TRY(settle_descriptors());
    ::umask(0);
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); // not to be looked into by the container it enters
    TRY(enter_cgroup(*request_.group));
    TRY(set_oom_score(plan_.oom_score_adj));
    ::setsid();
    TRY(request_.container != nullptr ? enter_new() : enter_existing());
    TRY(take_streams());
    if (request_.container != nullptr)
      TRY(seal_root(*request_.container));
    ::umask(0022);
    return become_program();
  }

  outcome<void> settle_descriptors() {
    close_all_but({0, 1, 2, ends_.sync, ends_.input, ends_.output, ends_.error,
                   request_.group->dir(), request_.init_pidfd, request_.root,
                   request_.ipc_namespace, request_.uts_namespace});
    return {};
  }

  outcome<void> enter_new() {
    TRY(make_namespaces(request_));
    TRY(make_root(*request_.container));
    return prepare_cwd(plan_);
  }

  outcome<void> enter_existing() {
    if (::setns(request_.init_pidfd, all_namespaces_of_init) != 0)
      return fail_errno("exec: join the container", errno);
    if (::fchdir(request_.root) != 0 || ::chroot(".") != 0)
      return fail_errno("exec: enter the container's root", errno);
    return {};
  }

  outcome<void> take_streams() {
    if (!plan_.terminal)
      TRY(take_pipes(ends_, plan_.uid));
    else {
      auto pair = TRY(open_terminal(plan_));
      TRY(take_terminal(pair.slave.get(), plan_.uid));
      if (request_.container != nullptr)
        TRY(make_console(pair.slave.get()));
      master_ = std::move(pair.master);
    }
    close_all_but({0, 1, 2, ends_.sync, master_.get()});
    return {};
  }

  outcome<void> become_program() {
    const auto environment = complete_environment(plan_);
    TRY(become_user(plan_, wanted_));
    TRY(enter_cwd(plan_));
    const auto program = TRY(find_program(plan_));
    TRY(send_ready(ends_.sync, master_.get()));
    master_.reset();
    TRY(wait_for_go(ends_.sync));
    TRY(drop_privileges(plan_, wanted_, *request_.seccomp));
    auto arguments = pointers(plan_.arguments);
    auto variables = pointers(environment);
    ::execve(program.c_str(), arguments.data(), variables.data());
    return fail_errno("exec " + program, errno);
  }

  static std::vector<char*> pointers(const std::vector<std::string>& list) {
    std::vector<char*> out;
    for (const auto& text : list)
      out.push_back(const_cast<char*>(text.c_str())); // execve copies
    out.push_back(nullptr);
    return out;
  }

  const launch_request& request_;
  const process_plan& plan_;
  child_ends ends_;
  capability_sets wanted_;
  unique_fd master_;
};

} // namespace

void run_child(const launch_request& request, const child_ends& ends) noexcept {
  std::set_terminate([] { ::_exit(failed_launch); }); // the agent's would turn the machine off
  try {
    child process{request, ends};
    send_failure(ends.sync, process.run());
  } catch (const std::exception& error) {
    send_failure(ends.sync, {errc::host_io, error.what(), 0});
  }
  ::_exit(failed_launch);
}

} // namespace troupe::guest
