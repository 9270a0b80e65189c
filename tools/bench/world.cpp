#include "tools/bench/world.hpp"

#include "messages/vocabulary/unique_fd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

namespace troupe::bench {
namespace {

namespace fs = std::filesystem;

/// For a body that was told to stop to take its containers down.
constexpr timespec stop_patience{30, 0};
/// Exit status of a world that could not be made.
constexpr int no_world = 125;

constexpr std::array forwarded{SIGINT, SIGTERM, SIGHUP};

int status_of(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

outcome<void> raise_loopback() {
  const unique_fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request{};
  std::ranges::copy(std::string_view{"lo"}, request.ifr_name);
  request.ifr_flags = IFF_UP;
  if (!socket || ::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0)
    return fail_errno("loopback", errno);
  return {};
}

outcome<void> mount_own(const char* type, const char* target) {
  if (::mount(type, target, type, MS_NOSUID | MS_NODEV, nullptr) != 0)
    return fail_errno(fmt::format("mount {}", target), errno);
  return {};
}

/// The rest of the world, once there is a process namespace.
outcome<void> settle_in() {
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET) != 0)
    return fail_errno("unshare", errno);
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fail_errno("make mounts private", errno);
  TRY(mount_own("proc", "/proc"));
  TRY(mount_own("tmpfs", "/run"));
  return raise_loopback();
}

/// Process 1 of the world: reaps whoever lost his parent, and ends with the body.
[[noreturn]] void be_first_process(const world& made,
                                   const std::function<int(const world&)>& body) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);
  if (const auto settled = settle_in(); !settled) {
    std::fprintf(stderr, "troupe-bench: %s\n", settled.error().to_string().c_str());
    ::_exit(no_world);
  }
  const pid_t child = ::fork();
  if (child == 0)
    ::_exit(body(made));
  for (int status = 0; child > 0;) {
    const pid_t ended = ::waitpid(-1, &status, 0);
    if (ended == child)
      ::_exit(status_of(status));
  }
  ::_exit(no_world);
}

/// Waits for the world's end and passes signals on.
int see_it_through(pid_t first, const sigset_t& signals) {
  bool told = false;
  for (;;) {
    int status = 0;
    if (::waitpid(first, &status, WNOHANG) == first)
      return status_of(status);
    const int signal =
        told ? ::sigtimedwait(&signals, nullptr, &stop_patience) : ::sigwaitinfo(&signals, nullptr);
    if (signal == SIGCHLD || (signal < 0 && errno == EINTR))
      continue;
    if (told)
      ::kill(first, SIGKILL);
    else
      ::kill(-first, signal);
    told = true;
  }
}

/// rmdir from the leaves up, for remove() would stumble over a cgroup's files.
void remove_cgroup(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{folder, error})
    if (entry.is_directory(error) && !entry.is_symlink(error))
      remove_cgroup(entry.path());
  ::rmdir(folder.c_str());
}

void remove_cgroups(const std::string& name) {
  constexpr const char* root = "/sys/fs/cgroup";
  std::error_code error;
  remove_cgroup(fs::path{root} / name);
  for (const auto& hierarchy : fs::directory_iterator{root, error})
    remove_cgroup(hierarchy.path() / name);
}

outcome<world> make_world() {
  std::error_code error;
  auto pattern = (fs::temp_directory_path(error) / "troupe-bench-XXXXXX").string();
  if (error || ::mkdtemp(pattern.data()) == nullptr)
    return fail_errno("mkdtemp " + pattern, errno);
  return world{pattern, fs::path{pattern}.filename().string()};
}

} // namespace

outcome<int> in_own_world(const std::function<int(const world&)>& body) {
  if (::geteuid() != 0)
    return fail(errc::failed_precondition, "must be root: it starts a containerd of its own");
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : forwarded)
    sigaddset(&signals, signal);
  sigaddset(&signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  if (::unshare(CLONE_NEWPID) != 0)
    return fail_errno("unshare", errno);
  const auto made = TRY(make_world());
  const pid_t first = ::fork();
  if (first == 0)
    be_first_process(made, body);
  const int error = errno;
  const int status = first > 0 ? see_it_through(first, signals) : no_world;
  std::error_code ignored;
  fs::remove_all(made.folder, ignored);
  remove_cgroups(made.name);
  if (first < 0)
    return fail_errno("fork", error);
  return status;
}

} // namespace troupe::bench
