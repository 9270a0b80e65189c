// The daemon of one pod: containerd's task service on a socket it was given, the runtime behind it.

#include "actors/runtime.hpp"
#include "actors/sandbox/pod/run_folders.hpp"
#include "messages/task_api/codec.hpp"
#include "messages/task_api/service.hpp"
#include "messages/ttrpc/server.hpp"
#include "messages/vocabulary/log.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "shim/command_line.hpp"
#include "shim/event_forwarder.hpp"
#include "shim/fifo_log.hpp"
#include "shim/spawn.hpp"

#include <asio/signal_set.hpp>

#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <span>

namespace troupe::shim {
namespace {

constexpr milliseconds event_patience{3000};
constexpr milliseconds reply_patience{1000};
constexpr milliseconds stop_patience{20'000};

outcome<void> prepare_process() {
  // Two arenas: each further one costs address space and keeps memory that was freed.
  ::mallopt(M_ARENA_MAX, 2);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN); // a guest that writes beyond a file size limit gets EFBIG, not us
  // What a VMM leaves behind when it dies comes to us and not to a stranger.
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
    return fail_errno("become subreaper", errno);
  return pod::make_run_folders();
}

/// Ends the wait of main(): the pod is gone, or we were told to stop.
class finish_line {
public:
  void cross(std::string why) {
    if (!crossed_.exchange(true))
      promise_.set_value(std::move(why));
  }
  std::string wait() { return promise_.get_future().get(); }

private:
  std::atomic<bool> crossed_{false};
  std::promise<std::string> promise_;
};

class daemon {
public:
  explicit daemon(command_line line) : line_(std::move(line)) {}
  daemon(const daemon&) = delete;
  daemon& operator=(const daemon&) = delete;
  ~daemon();
  outcome<void> run();

private:
  outcome<void> start_runtime();
  outcome<void> serve();
  void watch_signals();
  void stop();

  command_line line_;
  sandbox_id sandbox_;
  finish_line finish_;
  std::shared_ptr<event_forwarder> events_;
  std::unique_ptr<runtime> runtime_;
  std::unique_ptr<ttrpc::server> server_;
  std::unique_ptr<asio::signal_set> signals_;
};

/// Actors use the forwarder as long as they run, and its sockets and timers are the runtime's.
daemon::~daemon() {
  signals_.reset();
  server_.reset();
  if (runtime_)
    (void)runtime_->stop(stop_patience);
  events_.reset();
}

outcome<void> daemon::start_runtime() {
  runtime_options options;
  options.cache_directory = pod::run_root();
  options.on_event = [this](const event::record& record) {
    events_->push(std::string{task_api::topic(record.what)},
                  task_api::encode_event(record, line_.containerd_namespace));
  };
  options.on_sandbox_lost = [this](const sandbox_id&, const failure& why) {
    finish_.cross(why.text);
  };
  runtime_ = TRY(runtime::start(std::move(options)));
  forwarder_options forward;
  if (const char* socket = std::getenv("TTRPC_ADDRESS"))
    forward.socket = socket;
  events_ = event_forwarder::make(runtime_->io(), std::move(forward));
  sandbox_options pod;
  pod.id = sandbox_;
  pod.directory = pod::pod_directory(line_.address, line_.containerd_namespace, sandbox_.str());
  return runtime_->add_sandbox(std::move(pod));
}

outcome<void> daemon::serve() {
  task_api::task_service_options task;
  task.sandbox = sandbox_;
  task.shim_pid = static_cast<std::uint32_t>(::getpid());
  task.on_gone = [this] { finish_.cross("shutdown"); };
  server_ = task_api::make_task_server(
      runtime_->io(), [this](any_task_call call) { runtime_->submit(std::move(call)); }, task);
  return server_->listen(unique_fd{listen_fd});
}

void daemon::watch_signals() {
  signals_ = std::make_unique<asio::signal_set>(runtime_->io(), SIGTERM, SIGINT);
  signals_->async_wait([this](const asio::error_code& error, int number) {
    if (error)
      return;
    log::warn("shim", "told to stop by signal {}", number);
    shutdown_sandbox order;
    order.sandbox = sandbox_;
    order.now = true;
    runtime_->submit(task_call<shutdown_sandbox>{
        order, reply_box<bool>{[this](const outcome<bool>&) { finish_.cross("signal"); }}});
  });
}

void daemon::stop() {
  // Answers first, then events: containerd reads the connection's end as our death.
  std::promise<std::size_t> flushed;
  events_->flush(event_patience, [&](std::size_t left) { flushed.set_value(left); });
  if (const auto left = flushed.get_future().get(); left > 0)
    log::error("shim", "{} events were not taken", left);
  std::promise<void> drained;
  server_->stop(reply_patience, [&] { drained.set_value(); });
  drained.get_future().wait();
  signals_.reset();
  if (auto stopped = runtime_->stop(stop_patience); !stopped)
    log::error("shim", "{}", stopped.error().text);
}

outcome<void> daemon::run() {
  sandbox_ = TRY(sandbox_id::parse(line_.id.str()));
  TRY(start_runtime());
  TRY(serve());
  watch_signals();
  log::info("shim", "serves pod {}", sandbox_);
  log::info("shim", "ends: {}", finish_.wait());
  stop();
  ::unlink(pod::socket_path(line_.address, line_.containerd_namespace, sandbox_.str()).c_str());
  return {};
}

outcome<void> run_daemon(std::span<const char* const> arguments) {
  auto line = TRY(parse_command_line(arguments));
  log_to("log");
  log::set_level(line.debug ? log::level::debug : log::level::info);
  TRY(prepare_process());
  return daemon{std::move(line)}.run();
}

} // namespace
} // namespace troupe::shim

int main(int argc, char** argv) {
  const std::span<const char* const> arguments{argv + 1, static_cast<std::size_t>(argc - 1)};
  const auto result = troupe::shim::run_daemon(arguments);
  if (result)
    return 0;
  troupe::log::error("shim", "{}", result.error().to_string());
  std::fprintf(stderr, "shim-daemon: %s\n", result.error().to_string().c_str());
  return 1;
}
