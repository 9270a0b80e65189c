// `troupectl run`: a pod of one container within this process.

#include "actors/sandbox/pod/listener.hpp"
#include "actors/sandbox/pod/run_folders.hpp"
#include "config/load.hpp"
#include "messages/task_api/service.hpp"
#include "messages/ttrpc/server.hpp"
#include "messages/vocabulary/log.hpp"
#include "tools/ctl/ask.hpp"
#include "tools/ctl/bundle.hpp"
#include "tools/ctl/commands.hpp"
#include "tools/ctl/image.hpp"
#include "tools/ctl/pods.hpp"
#include "tools/ctl/private_folder.hpp"
#include "tools/ctl/signals.hpp"
#include "tools/ctl/streams.hpp"
#include "tools/ctl/terminal.hpp"
#include "tools/ctl/text.hpp"

#include <nlohmann/json.hpp>

#include <sys/prctl.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>

namespace troupe::ctl {
namespace {

/// From the request to the container's being there: boots the machine; the configuration bounds
/// each part of it more closely.
constexpr milliseconds create_patience{300'000};
constexpr milliseconds command_patience{60'000};
constexpr milliseconds stop_patience{30'000};
/// So many requests to end that the workload ignored make the next one a SIGKILL.
constexpr int polite_requests = 2;
/// What a shell makes of a death by signal.
constexpr int signal_status = 128;

/// What a VMM leaves behind when it dies comes to us and not to a stranger.
outcome<void> prepare_process() {
  if (::geteuid() != 0)
    return fail(errc::permission_denied, "run: must be root");
  block_signals();
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
    return fail_errno("become subreaper", errno);
  return pod::make_run_folders();
}

template <class T>
outcome<T> staged(std::string_view stage, outcome<T> result) {
  if (!result)
    return within(stage, std::move(result).error());
  return result;
}

class session {
public:
  explicit session(const run_options& options) : options_(options) {}
  /// The workload's exit status.
  outcome<int> run();

private:
  outcome<void> prepare();
  outcome<void> load_values();
  outcome<process_order> find_root();
  outcome<void> start_runtime();
  outcome<void> serve();
  outcome<int> run_container();
  outcome<void> resize();
  void end_runtime();
  void on_signal(int number);
  void resize_later();

  const run_options& options_;
  progress_line progress_;
  sandbox_id pod_;
  process_key key_;
  config::config values_;
  std::string rootfs_;
  std::optional<private_folder> folder_;
  std::unique_ptr<streams> streams_;
  std::optional<raw_terminal> raw_;
  std::unique_ptr<runtime> runtime_;
  std::unique_ptr<ttrpc::server> server_;
  std::unique_ptr<signal_watch> signals_;
  std::atomic<runtime*> host_{nullptr}; ///< for the signals' thread; set once it can be asked
  std::atomic<bool> running_{false};
  std::atomic<int> told_to_end_{0}; ///< the first signal that asked for the end
  std::atomic<int> requests_{0};
};

// -- what is needed before the runtime

outcome<void> session::load_values() {
  auto where = config::standard_search({});
  if (!options_.config.empty()) {
    where.environment.clear();
    where.option = std::filesystem::absolute(options_.config).string();
  }
  auto report = TRY(staged("configuration", config::load(where)));
  for (const auto& warning : report.warnings)
    log::warn("configuration", "{}", warning);
  values_ = std::move(report.values);
  if (!options_.hypervisor.empty())
    values_.runtime.hypervisor_name = options_.hypervisor;
  return {};
}

outcome<process_order> session::find_root() {
  process_order out;
  if (options_.image.empty()) {
    std::error_code error;
    rootfs_ = std::filesystem::absolute(options_.rootfs, error).lexically_normal().string();
    if (error || !std::filesystem::is_directory(rootfs_, error))
      return fail(errc::invalid_argument, "--rootfs: {} is no folder", options_.rootfs);
  } else {
    progress_.show("unpacking...");
    auto defaults = TRY(unpack_image(options_.image, folder_->path(), rootfs_,
                                     [this] { return told_to_end_ != 0; }));
    out.env = std::move(defaults.env);
    out.args = std::move(defaults.command);
    if (!defaults.cwd.empty())
      out.cwd = defaults.cwd;
  }
  if (!options_.command.empty())
    out.args = options_.command;
  if (out.args.empty())
    return fail(errc::invalid_argument, "--image: names no command; give one after --");
  out.env.insert(out.env.end(), options_.env.begin(), options_.env.end());
  if (!options_.cwd.empty())
    out.cwd = options_.cwd;
  out.terminal = options_.terminal;
  return out;
}

outcome<void> session::prepare() {
  const auto id = options_.id.empty() ? fmt::format("run-{}", ::getpid()) : options_.id;
  pod_ = TRY(staged("--id", sandbox_id::parse(id)));
  key_.container = TRY(container_id::parse(id));
  TRY(prepare_process());
  signals_ = TRY(signal_watch::start([this](int number) { on_signal(number); }));
  TRY(load_values());
  folder_.emplace(TRY(private_folder::make()));
  const auto process = TRY(find_root());
  TRY(write_bundle(folder_->path(), bundle_json(process, rootfs_, id)));
  if (options_.terminal)
    raw_.emplace(TRY(raw_terminal::enter()));
  streams_ = TRY(streams::open(folder_->path(), options_.terminal));
  return {};
}

// -- the runtime

outcome<void> session::start_runtime() {
  runtime_options host;
  host.cache_directory = pod::run_root();
  host.on_sandbox_lost = [](const sandbox_id& id, const failure& why) {
    log::error("troupectl", "pod {} is lost: {}", id, why.to_string());
  };
  runtime_ = TRY(runtime::start(std::move(host)));
  sandbox_options pod;
  pod.id = pod_;
  pod.directory = pods_root() + "/" + pod_.str();
  pod.values = values_;
  TRY(runtime_->add_sandbox(std::move(pod)));
  host_ = runtime_.get();
  return {};
}

/// The pod's own door, for `exec` and `kill`.
outcome<void> session::serve() {
  task_api::task_service_options task;
  task.sandbox = pod_;
  task.shim_pid = static_cast<std::uint32_t>(::getpid());
  server_ = task_api::make_task_server(
      runtime_->io(),
      [host = runtime_.get()](any_task_call call) { host->submit(std::move(call)); }, task);
  auto door = TRY(pod::listen_or_find(pods_root() + "/" + pod_.str() + "/" + door_name));
  if (!door.socket)
    return fail(errc::already_exists, "{} is served by somebody else", pod_);
  return server_->listen(std::move(door.socket));
}

outcome<void> session::resize() {
  resize_pty size;
  size.sandbox = pod_;
  size.key = key_;
  const auto now = window_size();
  size.columns = now.columns;
  size.rows = now.rows;
  TRY(ask(*runtime_, std::move(size), command_patience));
  return {};
}

/// On the signals' thread: nobody waits for the answer.
void session::resize_later() {
  resize_pty size;
  size.context.deadline = monotonic_clock::now() + command_patience;
  size.sandbox = pod_;
  size.key = key_;
  const auto now = window_size();
  size.columns = now.columns;
  size.rows = now.rows;
  host_.load()->submit(task_call<resize_pty>{size, {}});
}

/// Before the workload runs a signal ends the pod; then it is the workload's.
void session::on_signal(int number) {
  auto* host = host_.load();
  if (number == SIGWINCH) {
    if (host != nullptr && running_ && options_.terminal)
      resize_later();
    return;
  }
  int none = 0;
  told_to_end_.compare_exchange_strong(none, number);
  if (host == nullptr)
    return;
  const auto deadline = monotonic_clock::now() + command_patience;
  if (!running_) {
    shutdown_sandbox order;
    order.context.deadline = deadline;
    order.sandbox = pod_;
    order.now = true;
    return host->submit(task_call<shutdown_sandbox>{order, {}});
  }
  kill_process order;
  order.context.deadline = deadline;
  order.sandbox = pod_;
  order.key = key_;
  const bool enough = requests_++ >= polite_requests;
  order.signal = static_cast<std::uint32_t>(enough ? SIGKILL : number);
  host->submit(task_call<kill_process>{order, {}});
}

outcome<int> session::run_container() {
  create_task create;
  create.sandbox = pod_;
  create.container = key_.container;
  create.bundle = folder_->path();
  create.io = streams_->paths();
  progress_.show("booting...");
  TRY(staged("create", ask(*runtime_, std::move(create), create_patience)));
  streams_->start_input();
  TRY(staged("serve", serve()));
  if (options_.terminal)
    TRY(staged("resize", resize()));
  start_process start;
  start.sandbox = pod_;
  start.key = key_;
  progress_.clear();
  TRY(staged("start", ask(*runtime_, std::move(start), command_patience)));
  running_ = true;
  if (told_to_end_ != 0 && requests_ == 0) // came while it was being started
    on_signal(told_to_end_);
  wait_process wait;
  wait.sandbox = pod_;
  wait.key = key_;
  const auto exit = TRY(staged("wait", ask(*runtime_, std::move(wait), milliseconds::max())));
  delete_process remove;
  remove.sandbox = pod_;
  remove.key = key_;
  if (auto gone = staged("delete", ask(*runtime_, std::move(remove), command_patience)); !gone)
    log::warn("troupectl", "{}", gone.error().to_string());
  return static_cast<int>(exit.status);
}

void session::end_runtime() {
  if (!runtime_)
    return;
  if (server_) {
    std::promise<void> drained;
    server_->stop(answer_grace, [&] { drained.set_value(); });
    drained.get_future().wait();
  }
  shutdown_sandbox order;
  order.sandbox = pod_;
  order.now = true;
  if (auto down = staged("shutdown", ask(*runtime_, std::move(order), stop_patience));
      !down && down.error().code != errc::not_found)
    log::warn("troupectl", "{}", down.error().to_string());
  if (auto stopped = staged("stop", runtime_->stop(stop_patience)); !stopped)
    log::warn("troupectl", "{}", stopped.error().to_string());
}

outcome<int> session::run() {
  auto result = [this]() -> outcome<int> {
    TRY(prepare());
    TRY(staged("start the runtime", start_runtime()));
    if (told_to_end_ != 0)
      return fail(errc::cancelled, "told to end by signal {}", told_to_end_.load());
    return run_container();
  }();
  progress_.clear();
  signals_.reset();
  end_runtime();
  if (streams_)
    streams_->finish();
  raw_.reset();
  if (!result && told_to_end_ != 0)
    return signal_status + told_to_end_;
  return result;
}

} // namespace

int carry_out(const run_options& options) {
  log_to_stderr(options.debug);
  const auto began = monotonic_clock::now();
  const auto status = session{options}.run();
  if (!status) {
    complain(within("run", status.error()).value(), options.json);
    return not_run_status;
  }
  if (options.json) {
    const auto took = std::chrono::duration_cast<milliseconds>(monotonic_clock::now() - began);
    const nlohmann::ordered_json report = {{"exit_status", *status}, {"ms", took.count()}};
    std::fprintf(stderr, "%s\n", report.dump().c_str());
  }
  return *status;
}

} // namespace troupe::ctl
