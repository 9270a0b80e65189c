#include "shim/start.hpp"

#include "actors/sandbox/pod/listener.hpp"
#include "actors/sandbox/pod/run_folders.hpp"
#include "shim/bootstrap.hpp"
#include "shim/spawn.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <filesystem>

namespace troupe::shim {
namespace {

/// Whole or not at all: containerd may read the file the moment it exists.
outcome<void> write_file(const std::string& name, const std::string& text) {
  const auto next = name + ".next";
  {
    const unique_fd file{
        ::open(next.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!file)
      return fail_errno("open " + next, errno);
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      return fail_errno("write " + next, errno);
  }
  if (::rename(next.c_str(), name.c_str()) != 0)
    return fail_errno("rename " + name, errno);
  return {};
}

daemon_order order_for(const command_line& line, const std::string& pod,
                       const std::string& executable) {
  daemon_order order;
  order.executable = daemon_path(executable);
  order.arguments = {executable,
                     "-namespace",
                     line.containerd_namespace.str(),
                     "-id",
                     pod,
                     "-address",
                     line.address,
                     "-publish-binary",
                     line.publish_binary};
  if (line.debug)
    order.arguments.emplace_back("-debug");
  order.folder = std::filesystem::current_path().string();
  order.oom_score_adj = daemon_oom_score(oom_score_of(::getppid()));
  return order;
}

outcome<void> spawn_for(const command_line& line, const std::string& pod, const std::string& path,
                        const unique_fd& socket) {
  const auto executable = TRY(own_executable());
  const auto daemon = spawn_daemon(order_for(line, pod, executable), socket);
  if (!daemon) {
    ::unlink(path.c_str());
    return tl::unexpected(daemon.error());
  }
  return write_file("shim.pid", std::to_string(*daemon));
}

} // namespace

outcome<std::string> own_executable() {
  std::array<char, PATH_MAX> path{};
  const auto length = ::readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0)
    return fail_errno("readlink /proc/self/exe", errno);
  return std::string{path.data(), static_cast<std::size_t>(length)};
}

outcome<std::string> start(const command_line& line) {
  const auto input = TRY(read_to_end(STDIN_FILENO));
  TRY(check_bootstrap_input(input, line.id));
  TRY(pod::make_run_folders());
  const auto pod = pod_of(".", line.id);
  const auto path = pod::socket_path(line.address, line.containerd_namespace, pod);
  const auto found = TRY(pod::listen_or_find(path));
  if (found.socket)
    TRY(spawn_for(line, pod, path, found.socket));
  const auto address = "unix://" + path;
  TRY(write_file("address", address));
  return address;
}

} // namespace troupe::shim
