#include "actors/supervision/system.hpp"

#include "actors/supervision/thread.hpp"
#include "messages/vocabulary/log.hpp"

#include <caf/actor_registry.hpp>
#include <caf/atom.hpp>
#include <caf/exit_reason.hpp>
#include <caf/thread_hook.hpp>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace troupe::actors {

namespace {

/// CAF calls its workers "caf.multiplexer".
class name_threads final : public caf::thread_hook {
public:
  void init(caf::actor_system&) override {}
  void thread_started() override { name_this_thread("actors"); }
  void thread_terminates() override {}
};

/// The end of an actor that was asked to end is still to be handled, or never comes when it hangs.
/// CAF would wait for ever, and it cannot be asked to say when.
bool all_gone(caf::actor_system& system) {
  const auto until = monotonic_clock::now() + kill_grace;
  while (system.registry().running() != 0 && monotonic_clock::now() < until)
    std::this_thread::sleep_for(milliseconds{1});
  return system.registry().running() == 0;
}

struct gate_body {};

detail::gate_actor::behavior_type open_gate(detail::gate_actor::stateful_pointer<gate_body> self) {
  return {[self](const detail::errand& message) { message.run(self); }};
}

} // namespace

outcome<system_options> system_options::from_environment() {
  system_options options;
  const char* text = std::getenv("TROUPE_WORKER_THREADS");
  if (text == nullptr || *text == '\0')
    return options;
  const std::string_view value = text;
  const auto [end, error] =
      std::from_chars(value.data(), value.data() + value.size(), options.workers);
  if (error != std::errc{} || end != value.data() + value.size() || options.workers < min_workers ||
      options.workers > max_workers)
    return fail(errc::invalid_argument,
                "TROUPE_WORKER_THREADS: \"{}\" is not a number from {} to {}", value, min_workers,
                max_workers);
  return options;
}

system_config::system_config(system_options given) : options(std::move(given)) {
  // "stealing", the default, wakes 100 times a second per idle worker and delays by milliseconds.
  set("scheduler.policy", options.deterministic ? caf::atom("testing") : caf::atom("sharing"));
  set("scheduler.max-threads", std::clamp(options.workers, min_workers, max_workers));
  // Without a bound an actor that sends to itself starves all others on its worker.
  set("scheduler.max-throughput", std::size_t{64});
  add_thread_hook<name_threads>();
}

const system_options& options_of(const caf::actor_system& system) {
  static const system_options none;
  const auto* ours = dynamic_cast<const system_config*>(&system.config());
  return ours == nullptr ? none : ours->options;
}

struct actor_system_host::root_watch {
  ref<supervisor_actor> root;
  std::mutex mutex;
  std::condition_variable changed;
  bool ended = false;
};

actor_system_host::actor_system_host(system_options options)
    : config_(std::make_unique<system_config>(std::move(options))),
      system_(std::make_unique<caf::actor_system>(*config_)) {
  gate_.slot()->bind(caf::actor_cast<caf::strong_actor_ptr>(
                         spawn(*system_, actor_identity{"gate", 1}, &open_gate)),
                     1);
}

actor_system_host::~actor_system_host() {
  const auto stopped = stop();
  if (!stopped)
    log::error("system", "{}", stopped.error().to_string());
  if (all_gone(*system_))
    return;
  log::error("system", "left behind with {} actors", system_->registry().running());
  (void)system_.release();
  (void)config_.release();
}

ref<supervisor_actor>
actor_system_host::start_root(std::string name, supervisor_args args,
                              std::function<void(std::optional<failure>)> ended) {
  root_ = std::make_shared<root_watch>();
  root_->root = ref<supervisor_actor>{std::move(name)};
  const auto actor =
      spawn(*system_, actor_identity{root_->root.path(), 1}, &supervise, std::move(args));
  root_->root.slot()->bind(caf::actor_cast<caf::strong_actor_ptr>(actor), 1);
  actor->attach_functor([watch = root_, ended = std::move(ended)](const caf::error& why) {
    watch->root.slot()->unbind(1);
    if (ended)
      ended(end_reason(why));
    const std::lock_guard lock{watch->mutex};
    watch->ended = true;
    watch->changed.notify_all();
  });
  return root_->root;
}

outcome<void> actor_system_host::stop(milliseconds patience) {
  const auto ask_exit = [](const caf::strong_actor_ptr& actor) {
    if (actor)
      actor->enqueue(
          nullptr, caf::make_message_id(),
          caf::make_message(caf::exit_msg{actor->address(), caf::exit_reason::user_shutdown}),
          nullptr);
  };
  if (root_) {
    ask_exit(root_->root.target());
    std::unique_lock lock{root_->mutex};
    if (!config_->options.deterministic &&
        !root_->changed.wait_for(lock, patience, [&] { return root_->ended; }))
      return fail(errc::deadline_exceeded, "stop {}: not down after {} ms", root_->root.path(),
                  patience.count());
  }
  ask_exit(gate_.target());
  gate_.slot()->unbind(1);
  return {};
}

} // namespace troupe::actors
