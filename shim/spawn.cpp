#include "shim/spawn.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace troupe::shim {
namespace {

/// What the child reports through the pipe when it does not reach exec: which step, which errno.
enum class step : int { session, folder, streams, socket, exec };

struct report {
  step where = step::exec;
  int error = 0;
};

std::string_view name(step where) noexcept {
  constexpr std::array<std::string_view, 5> names{"setsid", "enter the bundle folder",
                                                  "redirect standard streams",
                                                  "pass the listening socket", "exec"};
  return names[static_cast<std::size_t>(where)];
}

[[noreturn]] void give_up(int pipe, step where) {
  const report what{where, errno};
  [[maybe_unused]] const auto written = ::write(pipe, &what, sizeof what);
  ::_exit(127);
}

void write_oom_score(int score) {
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return;
  const auto text = std::to_string(score);
  // Lowering it needs CAP_SYS_RESOURCE; without it the daemon keeps its parent's score.
  [[maybe_unused]] const auto written = ::write(fd, text.data(), text.size());
  ::close(fd);
}

[[noreturn]] void become_daemon(const daemon_order& order, int socket, int pipe) {
  if (::setsid() < 0)
    give_up(pipe, step::session);
  if (::chdir(order.folder.c_str()) != 0)
    give_up(pipe, step::folder);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int stream : {0, 1, 2})
    if (null < 0 || ::dup2(null, stream) < 0)
      give_up(pipe, step::streams);
  // The pipe may itself be descriptor 3: move it out of the way first.
  const int far_pipe = ::fcntl(pipe, F_DUPFD_CLOEXEC, listen_fd + 1);
  if (far_pipe < 0 || ::dup3(socket, listen_fd, 0) < 0)
    give_up(pipe, step::socket);
  ::close_range(listen_fd + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  write_oom_score(order.oom_score_adj);
  std::vector<char*> argv;
  for (const auto& argument : order.arguments)
    argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(order.executable.c_str(), argv.data());
  give_up(far_pipe, step::exec);
}

} // namespace

outcome<pid_t> spawn_daemon(const daemon_order& order, const unique_fd& socket) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return fail_errno("pipe", errno);
  unique_fd from{ends[0]};
  unique_fd to{ends[1]};
  const int far_socket = ::fcntl(socket.get(), F_DUPFD_CLOEXEC, listen_fd + 1);
  if (far_socket < 0)
    return fail_errno("dup listening socket", errno);
  const unique_fd safe_socket{far_socket};
  const pid_t child = ::fork();
  if (child < 0)
    return fail_errno("fork", errno);
  if (child == 0)
    become_daemon(order, safe_socket.get(), to.get());
  to.reset();
  report what;
  const auto got = ::read(from.get(), &what, sizeof what);
  if (got == 0)
    return child;
  ::waitpid(child, nullptr, 0);
  return fail_errno(fmt::format("start {}: {}", order.executable, name(what.where)), what.error);
}

int daemon_oom_score(int parent) noexcept {
  return std::clamp(parent + 1, -999, 1000);
}

int oom_score_of(pid_t pid) {
  std::ifstream file{fmt::format("/proc/{}/oom_score_adj", pid)};
  int score = 0;
  return file >> score ? score : 0;
}

std::string daemon_path(const std::string& executable) {
  const auto folder = std::filesystem::path{executable}.parent_path();
  return (folder.parent_path() / "libexec/troupe/shim-daemon").string();
}

} // namespace troupe::shim
