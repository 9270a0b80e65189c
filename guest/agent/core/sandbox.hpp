#pragma once

#include "guest/agent/boot/options.hpp"
#include "guest/agent/core/container.hpp"
#include "guest/agent/core/oom_watch.hpp"
#include "guest/agent/core/reaper.hpp"
#include "guest/agent/core/workers.hpp"
#include "guest/agent/launch/mount_namespace.hpp"
#include "guest/agent/storage/storage.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include "agent.pb.h"

#include <asio/io_context.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace troupe::guest {

/// An answer without content.
struct nothing {};

/// Called once, on the loop's thread.
template <class Reply>
using answer = std::function<void(outcome<Reply>)>;

/// Most containers of one pod.
inline constexpr std::size_t max_containers = 512;

/// The pod inside the guest: every call of grpc.AgentService ends here. All state belongs to one
/// thread, the loop's, so there is no lock to hold: what may block (mounts, forks, cgroup files)
/// runs on the workers with values of its own and comes back as an event, and what waits (a process
/// to exit, output to come) is a callback in a list. So a kill is answered whatever else is stuck.
///
/// Errors: invalid_argument names the field, not_found and already_exists are about identities,
/// failed_precondition about phases, host_io about the guest's kernel.
class sandbox {
public:
  /// `ended` runs once DestroySandbox was answered.
  sandbox(asio::io_context& io, agent_options options, std::function<void()> ended);

  /// Before any other thread exists.
  [[nodiscard]] outcome<void> start() { return reaper_.start(); }

  // ---- the pod (sandbox.cpp) ----
  void create_sandbox(const grpc::CreateSandboxRequest& request, answer<nothing> done);
  void destroy_sandbox(const grpc::DestroySandboxRequest& request, answer<nothing> done);
  void guest_details(const grpc::GuestDetailsRequest& request,
                     answer<grpc::GuestDetailsResponse> done);
  void oom_event(const grpc::GetOOMEventRequest& request, answer<grpc::OOMEvent> done);
  void set_date_time(const grpc::SetGuestDateTimeRequest& request, answer<nothing> done);
  void reseed(const grpc::ReseedRandomDevRequest& request, answer<nothing> done);

  // ---- containers and their processes come and go (lifecycle.cpp) ----
  void create_container(const grpc::CreateContainerRequest& request, answer<nothing> done);
  void start_container(const grpc::StartContainerRequest& request, answer<nothing> done);
  void remove_container(const grpc::RemoveContainerRequest& request, answer<nothing> done);
  void exec_process(const grpc::ExecProcessRequest& request, answer<nothing> done);

  // ---- one process (process_calls.cpp) ----
  void signal_process(const grpc::SignalProcessRequest& request, answer<nothing> done);
  void wait_process(const grpc::WaitProcessRequest& request,
                    answer<grpc::WaitProcessResponse> done);
  void read_stdout(const grpc::ReadStreamRequest& request, answer<grpc::ReadStreamResponse> done);
  void read_stderr(const grpc::ReadStreamRequest& request, answer<grpc::ReadStreamResponse> done);
  void write_stdin(const grpc::WriteStreamRequest& request, answer<grpc::WriteStreamResponse> done);
  void close_stdin(const grpc::CloseStdinRequest& request, answer<nothing> done);
  void resize_terminal(const grpc::TtyWinResizeRequest& request, answer<nothing> done);

  // ---- resources of one container (resource_calls.cpp) ----
  void update_container(const grpc::UpdateContainerRequest& request, answer<nothing> done);
  void stats_container(const grpc::StatsContainerRequest& request,
                       answer<grpc::StatsContainerResponse> done);
  void pause_container(const grpc::PauseContainerRequest& request, answer<nothing> done);
  void resume_container(const grpc::ResumeContainerRequest& request, answer<nothing> done);

private:
  struct creation;
  struct exec_admission {
    std::shared_ptr<container> in;
    std::shared_ptr<process> init;
    process_plan plan;
  };

  /// Runs `job` on a worker and `then` with its result on the loop.
  template <class Result>
  void in_background(std::function<Result()> job, std::function<void(Result)> then);

  [[nodiscard]] outcome<std::shared_ptr<container>> find(const std::string& id) const;
  [[nodiscard]] outcome<std::shared_ptr<process>> find_process(const std::string& id,
                                                               const std::string& exec) const;
  [[nodiscard]] outcome<std::shared_ptr<container>>
  admit(const grpc::CreateContainerRequest& request);
  [[nodiscard]] outcome<nothing> build(creation& work);
  void install(const std::shared_ptr<creation>& work, outcome<nothing> built);
  void init_ready(const std::shared_ptr<creation>& work, outcome<void> ready);
  void let_go_of_mounts(container& gone);
  void take_down(std::shared_ptr<container> gone, milliseconds deadline, answer<nothing> done);
  [[nodiscard]] outcome<exec_admission> admit_exec(const grpc::ExecProcessRequest& request);
  void launched_exec(const std::shared_ptr<container>& in, const std::string& exec,
                     const std::shared_ptr<process>& one, outcome<launched> child,
                     answer<nothing> done);
  void kill_all(const container& all, answer<nothing> done);
  void freeze(const std::string& id, bool frozen, answer<nothing> done);

  asio::io_context& io_;
  agent_options options_;
  std::function<void()> ended_;
  reaper reaper_;
  oom_watch oom_;
  storage_table storages_;
  mount_keeper mounts_;
  std::map<std::string, std::shared_ptr<container>, std::less<>> containers_;
  std::string id_; ///< Empty before CreateSandbox.
  bool ending_ = false;
  /// Namespaces of the pod, held by their descriptors; empty before they exist.
  unique_fd ipc_;
  unique_fd uts_;
  unique_fd pid_;
  workers workers_; ///< Last: its threads end before what they use.
};

} // namespace troupe::guest
