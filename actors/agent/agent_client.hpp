#pragma once

#include "messages/ttrpc/client.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include "agent.pb.h"
#include "health.pb.h"

#include <functional>
#include <string>
#include <string_view>
#include <type_traits>

namespace troupe::agent {

/// How long the agent may take. 0 is without limit.
struct agent_timeouts {
  /// Everything that is neither of the following.
  milliseconds request = seconds{30};
  /// CreateContainer: the guest may have to wait for devices and storages.
  milliseconds create_container = seconds{30};
  milliseconds health = seconds{90};
};

/// Which of agent_timeouts a call is under. `endless`: it ends when a process does.
enum class patience : std::uint8_t { request, create_container, health, endless };

/// One call of the agent: its messages and its names on the wire. `Response` void: an empty answer.
template <class Request, class Response = void>
struct rpc {
  std::string_view name{};
  patience limit = patience::request;
  std::string_view service = "grpc.AgentService";
};

/// The calls that the runtime makes. Meaning and failures: messages/proto/agent.proto.
namespace call {
inline constexpr rpc<grpc::CheckRequest, grpc::HealthCheckResponse> check{"Check", patience::health,
                                                                          "grpc.Health"};
inline constexpr rpc<grpc::CheckRequest, grpc::VersionCheckResponse> version{
    "Version", patience::health, "grpc.Health"};

inline constexpr rpc<grpc::CreateSandboxRequest> create_sandbox{"CreateSandbox"};
inline constexpr rpc<grpc::DestroySandboxRequest> destroy_sandbox{"DestroySandbox"};
inline constexpr rpc<grpc::GuestDetailsRequest, grpc::GuestDetailsResponse> get_guest_details{
    "GetGuestDetails"};
/// Answered when a container runs out of memory.
inline constexpr rpc<grpc::GetOOMEventRequest, grpc::OOMEvent> get_oom_event{"GetOOMEvent",
                                                                             patience::endless};

inline constexpr rpc<grpc::CreateContainerRequest> create_container{"CreateContainer",
                                                                    patience::create_container};
inline constexpr rpc<grpc::StartContainerRequest> start_container{"StartContainer"};
inline constexpr rpc<grpc::RemoveContainerRequest> remove_container{"RemoveContainer"};
inline constexpr rpc<grpc::UpdateContainerRequest> update_container{"UpdateContainer"};
inline constexpr rpc<grpc::PauseContainerRequest> pause_container{"PauseContainer"};
inline constexpr rpc<grpc::ResumeContainerRequest> resume_container{"ResumeContainer"};
inline constexpr rpc<grpc::StatsContainerRequest, grpc::StatsContainerResponse> stats_container{
    "StatsContainer"};

inline constexpr rpc<grpc::ExecProcessRequest> exec_process{"ExecProcess"};
inline constexpr rpc<grpc::SignalProcessRequest> signal_process{"SignalProcess"};
/// Drain stdout and stderr first: kata-agent closes the pipes when it answers.
inline constexpr rpc<grpc::WaitProcessRequest, grpc::WaitProcessResponse> wait_process{
    "WaitProcess", patience::endless};
inline constexpr rpc<grpc::TtyWinResizeRequest> tty_win_resize{"TtyWinResize"};

inline constexpr rpc<grpc::ReadStreamRequest, grpc::ReadStreamResponse> read_stdout{
    "ReadStdout", patience::endless};
inline constexpr rpc<grpc::ReadStreamRequest, grpc::ReadStreamResponse> read_stderr{
    "ReadStderr", patience::endless};
inline constexpr rpc<grpc::WriteStreamRequest, grpc::WriteStreamResponse> write_stdin{
    "WriteStdin", patience::endless};
inline constexpr rpc<grpc::CloseStdinRequest> close_stdin{"CloseStdin"};

inline constexpr rpc<grpc::UpdateInterfaceRequest, types::Interface> update_interface{
    "UpdateInterface"};
inline constexpr rpc<grpc::UpdateRoutesRequest, grpc::Routes> update_routes{"UpdateRoutes"};
inline constexpr rpc<grpc::AddARPNeighborsRequest> add_arp_neighbors{"AddARPNeighbors"};
inline constexpr rpc<grpc::OnlineCPUMemRequest> online_cpu_mem{"OnlineCPUMem"};
inline constexpr rpc<grpc::ReseedRandomDevRequest> reseed_random_dev{"ReseedRandomDev"};
inline constexpr rpc<grpc::SetGuestDateTimeRequest> set_guest_date_time{"SetGuestDateTime"};
inline constexpr rpc<grpc::CopyFileRequest> copy_file{"CopyFile"};
inline constexpr rpc<grpc::GetMetricsRequest, grpc::Metrics> get_metrics{"GetMetrics"};
} // namespace call

/// What an agent can do beyond kata-agent, from AgentDetails.extra_features.
struct agent_features {
  /// WaitProcessRequest.keep is honoured.
  bool keep_exit = false;
  /// ReadStreamRequest.offset is honoured.
  bool read_offset = false;

  friend bool operator==(const agent_features&, const agent_features&) = default;
};
[[nodiscard]] agent_features features_of(const grpc::AgentDetails& details);

/// Typed calls to the agent in the guest, over a connection that hybrid_dial made.
///
/// Callbacks run on the io thread, once each, never from within invoke(). Every failure's text
/// begins with the call's name. Codes: what the agent answered; deadline_exceeded; agent_gone when
/// the connection ended; guest_fault when the agent answers what is no answer, or only "unknown" or
/// "internal". Texts come from the guest: they are cut to a line of bounded length. Any thread; the
/// io_context must outlive it.
class agent_client {
public:
  template <class Response>
  using callback = std::function<void(outcome<Response>)>;

  /// `on_closed` is called once, on the io thread, when the connection ends without our doing.
  agent_client(ttrpc::stream_socket connection, agent_timeouts timeouts,
               std::function<void(const failure&)> on_closed);

  /// Calls. `left` is what remains of the caller's own deadline; the shorter of it and the call's
  /// limit counts. milliseconds::max(): the caller has none.
  template <class Request, class Response>
  void invoke(const rpc<Request, Response>& what, const std::type_identity_t<Request>& request,
              callback<std::type_identity_t<Response>> done,
              milliseconds left = milliseconds::max()) const {
    send(names{what.service, what.name, what.limit}, request.SerializeAsString(), left,
         [name = what.name, done = std::move(done)](outcome<std::string> answer) {
           done(decode<Response>(name, std::move(answer)));
         });
  }

  /// Fails what is pending with `cancelled` and closes.
  void close() const { client_.close(); }

private:
  struct names {
    std::string_view service;
    std::string_view method;
    patience limit;
  };

  template <class Response>
  static outcome<Response> decode(std::string_view name, outcome<std::string> answer) {
    if (!answer)
      return refused(name, std::move(answer).error());
    if constexpr (std::is_void_v<Response>) {
      return {};
    } else {
      Response response;
      if (!response.ParseFromString(*answer))
        return unreadable(name, answer->size());
      return response;
    }
  }
  static failed refused(std::string_view name, failure why);
  static failed unreadable(std::string_view name, std::size_t size);

  void send(const names& what, std::string payload, milliseconds left,
            ttrpc::client::callback done) const;
  [[nodiscard]] milliseconds limit_of(patience kind) const noexcept;

  agent_timeouts timeouts_;
  ttrpc::client client_;
};

} // namespace troupe::agent
