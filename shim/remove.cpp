#include "shim/remove.hpp"

#include "actors/sandbox/journal/sweep.hpp"
#include "actors/sandbox/pod/run_folders.hpp"
#include "messages/task_api/wire_time.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "shim/start.hpp"

#include "task.pb.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

namespace troupe::shim {
namespace {

constexpr milliseconds replay_limit{3500};
/// 128 + SIGKILL: whatever ran in the pod has been killed with its machine.
constexpr std::uint32_t killed_status = 137;

/// Waits for the process behind `pid` to end and kills it when it does not. The journal's owner is
/// compared by start time before: a recycled pid is somebody else.
void end_daemon(const journal::owner& who) {
  const unique_fd process{static_cast<int>(::syscall(SYS_pidfd_open, who.pid, 0))};
  if (!process || !journal::alive(who))
    return;
  pollfd ended{process.get(), POLLIN, 0};
  if (::poll(&ended, 1, daemon_grace_ms) > 0)
    return;
  (void)::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
  (void)::poll(&ended, 1, daemon_grace_ms);
}

/// Problems go to standard error, which containerd logs as cleanup warnings; the answer stands.
void undo_pod(const std::string& folder) {
  if (const auto owner = journal::read_owner(folder + "/" + std::string{journal::file_name}))
    end_daemon(*owner);
  const auto host = journal::make_host_effects();
  const auto swept = journal::sweep_one(folder, *host, monotonic_clock::now() + replay_limit);
  if (!swept)
    std::fprintf(stderr, "%s\n", swept.error().to_string().c_str());
  else if (swept->problem)
    std::fprintf(stderr, "%s\n", swept->problem->to_string().c_str());
}

} // namespace

outcome<std::string> remove(const command_line& line) {
  const auto pod = pod_of(line.bundle, line.id);
  if (pod == line.id.str()) {
    undo_pod(pod::pod_directory(line.address, line.containerd_namespace, pod));
    const auto socket = pod::socket_path(line.address, line.containerd_namespace, pod);
    ::unlink(socket.c_str());
    ::unlink((socket + ".lock").c_str());
  }
  containerd::task::v2::DeleteResponse answer;
  answer.set_exit_status(killed_status);
  task_api::set_time(answer.mutable_exited_at(), std::chrono::system_clock::now());
  return answer.SerializeAsString();
}

} // namespace troupe::shim
