// `troupectl exec` and `troupectl kill`: over the socket of a running pod.

#include "actors/supervision/io_loop.hpp"
#include "messages/task_api/service.hpp"
#include "messages/ttrpc/client.hpp"
#include "messages/vocabulary/ids.hpp"
#include "tools/ctl/bundle.hpp"
#include "tools/ctl/commands.hpp"
#include "tools/ctl/pods.hpp"
#include "tools/ctl/private_folder.hpp"
#include "tools/ctl/signals.hpp"
#include "tools/ctl/streams.hpp"
#include "tools/ctl/terminal.hpp"
#include "tools/ctl/text.hpp"

#include "task.pb.h"

#include <asio/local/stream_protocol.hpp>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <future>
#include <optional>

namespace troupe::ctl {
namespace {

namespace v2 = containerd::task::v2;

constexpr milliseconds call_patience{60'000};
constexpr milliseconds for_ever{0};
constexpr const char* process_type = "types.containerd.io/opencontainers/runtime-spec/1/Process";

/// The Task service of one pod.
class pod_door {
public:
  static outcome<std::unique_ptr<pod_door>> open(const std::string& pod);

  /// @param patience for_ever = no deadline.
  template <class Answer, class Request>
  outcome<Answer> call(const char* method, const Request& request,
                       milliseconds patience = call_patience) {
    const auto answered = std::make_shared<std::promise<outcome<std::string>>>();
    auto future = answered->get_future();
    send(method, request.SerializeAsString(), patience,
         [answered](outcome<std::string> result) { answered->set_value(std::move(result)); });
    auto bytes = future.get();
    if (!bytes)
      return within(method, std::move(bytes).error());
    Answer answer;
    if (!answer.ParseFromString(*bytes))
      return fail(errc::peer_fault, "{}: the answer is unreadable", method);
    return answer;
  }

  /// Nobody waits for the answer.
  template <class Request>
  void tell(const char* method, const Request& request) {
    send(method, request.SerializeAsString(), call_patience, [](const outcome<std::string>&) {});
  }

private:
  pod_door() = default;
  void send(const char* method, std::string payload, milliseconds patience,
            ttrpc::client::callback then) {
    ttrpc::call_request request;
    request.service = task_api::task_service_name;
    request.method = method;
    request.payload = std::move(payload);
    request.timeout = patience;
    client_->call(std::move(request), std::move(then));
  }

  io_loop io_{"ctl"};
  std::optional<ttrpc::client> client_;
};

outcome<std::unique_ptr<pod_door>> pod_door::open(const std::string& pod) {
  const auto path = TRY(door_of(pod));
  std::unique_ptr<pod_door> out{new pod_door};
  asio::local::stream_protocol::socket socket{out->io_.context()};
  asio::error_code error;
  socket.connect(asio::local::stream_protocol::endpoint{path}, error);
  if (error)
    return fail(errc::not_found, "pod {}: nobody answers at {}: {}", pod, path, error.message());
  ttrpc::client_options options;
  options.peer = "pod " + pod;
  out->client_.emplace(ttrpc::stream_socket{std::move(socket)}, std::move(options));
  return out;
}

/// A pod of `troupectl run` has the id of its container; a shim's folder has a hash behind it.
std::string container_of(const std::string& pod, const std::string& given) {
  if (!given.empty())
    return given;
  const bool own = door_of(pod).value_or("").ends_with(door_name);
  return own ? pod : pod.substr(0, pod.rfind('-'));
}

class exec_session {
public:
  explicit exec_session(const exec_options& options) : options_(options) {}
  outcome<int> run();

private:
  outcome<void> add();
  outcome<void> resize();
  outcome<int> start_and_wait();
  void on_signal(int number);

  template <class Request>
  Request about() const {
    Request out;
    out.set_id(container_);
    out.set_exec_id(exec_);
    return out;
  }
  [[nodiscard]] v2::ResizePtyRequest size() const {
    auto out = about<v2::ResizePtyRequest>();
    const auto now = window_size();
    out.set_width(now.columns);
    out.set_height(now.rows);
    return out;
  }

  const exec_options& options_;
  std::string container_;
  std::string exec_ = fmt::format("ctl-{}", ::getpid());
  std::optional<private_folder> folder_;
  std::unique_ptr<pod_door> door_;
  std::unique_ptr<streams> streams_;
};

outcome<void> exec_session::add() {
  process_order process;
  process.args = options_.command;
  process.env = options_.env;
  process.terminal = options_.terminal;
  if (!options_.cwd.empty())
    process.cwd = options_.cwd;
  auto request = about<v2::ExecProcessRequest>();
  request.set_terminal(options_.terminal);
  request.set_stdin(streams_->paths().in);
  request.set_stdout(streams_->paths().out);
  request.set_stderr(streams_->paths().err);
  request.mutable_spec()->set_type_url(process_type);
  request.mutable_spec()->set_value(process_json(process));
  TRY(door_->call<troupe::wire::Empty>("Exec", request));
  return {};
}

outcome<void> exec_session::resize() {
  TRY(door_->call<troupe::wire::Empty>("ResizePty", size()));
  return {};
}

void exec_session::on_signal(int number) {
  if (number == SIGWINCH) {
    if (options_.terminal)
      door_->tell("ResizePty", size());
    return;
  }
  auto request = about<v2::KillRequest>();
  request.set_signal(static_cast<std::uint32_t>(number));
  door_->tell("Kill", request);
}

outcome<int> exec_session::start_and_wait() {
  if (options_.terminal)
    TRY(resize());
  TRY(door_->call<v2::StartResponse>("Start", about<v2::StartRequest>()));
  streams_->start_input();
  const auto watch = TRY(signal_watch::start([this](int number) { on_signal(number); }));
  const auto exit = TRY(door_->call<v2::WaitResponse>("Wait", about<v2::WaitRequest>(), for_ever));
  return static_cast<int>(exit.exit_status());
}

outcome<int> exec_session::run() {
  block_signals();
  container_ = container_of(options_.pod, options_.container);
  door_ = TRY(pod_door::open(options_.pod));
  folder_.emplace(TRY(private_folder::make()));
  std::optional<raw_terminal> raw;
  if (options_.terminal)
    raw.emplace(TRY(raw_terminal::enter()));
  streams_ = TRY(streams::open(folder_->path(), options_.terminal));
  TRY(add());
  auto status = start_and_wait();
  // An exec that could not be started must go, too; why it could not is what counts.
  (void)door_->call<v2::DeleteResponse>("Delete", about<v2::DeleteRequest>());
  streams_->finish();
  return status;
}

outcome<void> kill_pod(const kill_options& options) {
  const auto door = TRY(pod_door::open(options.pod));
  v2::KillRequest request;
  request.set_id(container_of(options.pod, options.container));
  request.set_signal(parse_signal(options.signal).value_or(SIGTERM));
  request.set_all(options.all);
  TRY(door->call<troupe::wire::Empty>("Kill", request));
  return {};
}

} // namespace

int carry_out(const exec_options& options) {
  log_to_stderr(false);
  const auto status = exec_session{options}.run();
  if (!status) {
    complain(within("exec", status.error()).value(), options.json);
    return not_run_status;
  }
  if (options.json)
    std::fprintf(stderr, "%s\n", nlohmann::ordered_json{{"exit_status", *status}}.dump().c_str());
  return *status;
}

int carry_out(const kill_options& options) {
  log_to_stderr(false);
  if (const auto done = kill_pod(options); !done) {
    complain(within("kill", done.error()).value(), options.json);
    return 1;
  }
  return 0;
}

} // namespace troupe::ctl
