#include "guest/agent/core/service.hpp"

#include "guest/agent/boot/log_line.hpp"
#include "messages/vocabulary/log.hpp"

#include "health.pb.h"

namespace troupe::guest {
namespace {

constexpr const char* agent_service = "grpc.AgentService";
constexpr const char* health_service = "grpc.Health";

std::string serialized(const nothing&) {
  return {};
}
template <class Message>
std::string serialized(const Message& message) {
  return message.SerializeAsString();
}

template <class Request, class Reply>
using method = void (sandbox::*)(const Request&, answer<Reply>);

/// One row of the table: parse, call, serialize.
template <class Request, class Reply>
void add(ttrpc::server& server, sandbox& to, const char* name, method<Request, Reply> call) {
  server.add(agent_service, name, [&to, call, name](ttrpc::request raw, ttrpc::reply reply) {
    Request request;
    if (!request.ParseFromString(raw.payload))
      return std::move(reply).send(fail(errc::invalid_argument, "{}: not a valid request", name));
    log::trace("rpc", "{}", name);
    const auto back = std::make_shared<ttrpc::reply>(std::move(reply));
    (to.*call)(request, [back, name](outcome<Reply> result) {
      if (result)
        return std::move(*back).send(serialized(*result));
      log::debug("rpc", "{}: {}", name, result.error().to_string());
      std::move(*back).send(tl::unexpected(std::move(result).error()));
    });
  });
}

void add_health(ttrpc::server& server) {
  server.add(health_service, "Check", [](const ttrpc::request&, ttrpc::reply reply) {
    grpc::HealthCheckResponse response;
    response.set_status(grpc::HealthCheckResponse::SERVING);
    std::move(reply).send(response.SerializeAsString());
  });
  server.add(health_service, "Version", [](const ttrpc::request&, ttrpc::reply reply) {
    grpc::VersionCheckResponse response;
    response.set_grpc_version("0.0.1");
    response.set_agent_version(std::string{agent_version});
    std::move(reply).send(response.SerializeAsString());
  });
}

} // namespace

void add_services(ttrpc::server& server, sandbox& to) {
  add_health(server);
  add(server, to, "CreateSandbox", &sandbox::create_sandbox);
  add(server, to, "DestroySandbox", &sandbox::destroy_sandbox);
  add(server, to, "GetGuestDetails", &sandbox::guest_details);
  add(server, to, "GetOOMEvent", &sandbox::oom_event);
  add(server, to, "SetGuestDateTime", &sandbox::set_date_time);
  add(server, to, "ReseedRandomDev", &sandbox::reseed);
  add(server, to, "CreateContainer", &sandbox::create_container);
  add(server, to, "StartContainer", &sandbox::start_container);
  add(server, to, "RemoveContainer", &sandbox::remove_container);
  add(server, to, "ExecProcess", &sandbox::exec_process);
  add(server, to, "SignalProcess", &sandbox::signal_process);
  add(server, to, "WaitProcess", &sandbox::wait_process);
  add(server, to, "ReadStdout", &sandbox::read_stdout);
  add(server, to, "ReadStderr", &sandbox::read_stderr);
  add(server, to, "WriteStdin", &sandbox::write_stdin);
  add(server, to, "CloseStdin", &sandbox::close_stdin);
  add(server, to, "TtyWinResize", &sandbox::resize_terminal);
  add(server, to, "UpdateContainer", &sandbox::update_container);
  add(server, to, "StatsContainer", &sandbox::stats_container);
  add(server, to, "PauseContainer", &sandbox::pause_container);
  add(server, to, "ResumeContainer", &sandbox::resume_container);
}

} // namespace troupe::guest
