#include "actors/sandbox/sandbox_actor.hpp"

#include "actors/sandbox/lifecycle/commands.hpp"
#include "actors/sandbox/pod/pod_directory.hpp"
#include "actors/sandbox/pod/pod_settings.hpp"
#include "actors/supervision/ask_again.hpp"
#include "actors/supervision/blocking.hpp"
#include "actors/supervision/timer.hpp"
#include "messages/vocabulary/log.hpp"

namespace troupe {
namespace {

using lifecycle::sandbox_phase;
using lifecycle::verdict;

/// A container that is gone has nothing left to do on its way down.
constexpr milliseconds container_end_patience{20'000};

struct sandbox {
  sandbox_actor::stateful_pointer<sandbox_body> self;
  std::shared_ptr<const sandbox_args> args;

  [[nodiscard]] sandbox_ledger& ledger() const { return *args->ledger; }
  [[nodiscard]] sandbox_state& state() const { return args->ledger->state; }
  [[nodiscard]] sandbox_body& body() const { return self->state; }
  [[nodiscard]] const std::string& who() const { return args->me.path(); }
  [[nodiscard]] const config::config& values() const { return args->pod->values; }

  void go_on() const;
  void step_up(boot_stage stage) const;
  void open_directory() const;
  template <class Handle, class Message>
  void raise(boot_stage stage, const actors::ref<Handle>& part, milliseconds limit,
             Message message) const;
  void start_machine_stage() const;
  void up(boot_stage stage) const;
  void running() const;
  void stage_failed(boot_stage stage, const failure& why) const;
  void turn_round(const failure& why) const;
  void step_down(boot_stage stage) const;
  template <class Handle, class Message>
  void lower(boot_stage stage, const actors::ref<Handle>& part, Message message) const;
  void close_directory() const;
  void down(boot_stage stage) const;
  void stopped() const;

  void create(const task_call<create_task>& call) const;
  void new_container(const task_call<create_task>& call) const;
  void removed(const container_id& id, const std::optional<failure>& why) const;
  void shut_down(const task_call<shutdown_sandbox>& call) const;
  template <class Order>
  [[nodiscard]] actors::answer<void> move(const char* verb, Order order, bool stands) const;
  void tell_containers(const machine_lost& news) const;
  template <class Command>
  void pass(const task_call<Command>& call) const;
};

// -- way up
// ----------------------------------------------------------------------------------------

void sandbox::go_on() const {
  if (body().busy)
    return;
  if (const auto stage = state().next_up(); stage != boot_stage::none)
    return step_up(stage);
  if (state().phase() == sandbox_phase::stopping)
    step_down(state().next_down());
}

void sandbox::step_up(boot_stage stage) const {
  body().busy = true;
  const auto& limits = values();
  switch (stage) {
  case boot_stage::directory:
    return open_directory();
  case boot_stage::devices:
    return raise(stage, args->devices, limits.runtime.effect_timeout, attach_devices{});
  case boot_stage::machine:
    return start_machine_stage();
  case boot_stage::agent: {
    const auto limit = limits.agent().reconnect_timeout;
    connect_agent order{{}, state().id().str()};
    order.context.deadline = actors::now(self) + limit;
    return raise(stage, args->agent, limit + limits.agent().request_timeout, std::move(order));
  }
  case boot_stage::none:
    return;
  }
}

/// Blocking: reads the settings, arms the fault plan, chooses a hypervisor, makes the folder. Keeps
/// each in the pod at once, so that an actor killed meanwhile finds them there.
outcome<void> open_pod(pod_context& pod, const std::string& config_path, const std::string& bundle,
                       time_point deadline) {
  const std::lock_guard one_at_a_time{pod.opening};
  if (pod.journal)
    return {};
  if (!pod.configured) {
    auto settings = TRY(pod::read_settings(config_path, bundle));
    for (const auto& warning : settings.warnings)
      log::warn("root/sandbox:" + pod.id.str(), "{}", warning);
    pod.values = std::move(settings.values);
    pod.configured = true;
  }
  if (!pod.values.runtime.fault_plan.empty())
    TRY(pod.faults->arm(pod.values.runtime.fault_plan));
  pod.chosen = TRY(hypervisor::choose(hypervisor_wishes(pod.values),
                                      hypervisor::probe_kvm_cached(pod.probe_cache)));
  pod.journal = TRY(pod::open_directory(pod.place.directory, deadline));
  return {};
}

void sandbox::open_directory() const {
  const auto limit = values().runtime.effect_timeout;
  const auto& early = body().early;
  const auto config_path = early.empty() ? std::string{} : early.front().command.config_path;
  const auto bundle = early.empty() ? std::string{} : early.front().command.bundle;
  actors::run_blocking(self, args->pod->fx, args->pod->job("pod folder", limit, actors::now(self)),
                       [=, pod = args->pod, end = actors::now(self) + limit] {
                         return open_pod(*pod, config_path, bundle, end);
                       })
      .then(
          [it = *this] {
            it.up(boot_stage::directory);
            for (const auto& call : std::exchange(it.body().early, {}))
              it.new_container(call);
          },
          [it = *this](const failure& why) {
            it.stage_failed(boot_stage::directory, why);
            for (const auto& call : std::exchange(it.body().early, {})) {
              it.state().removed(call.command.container);
              call.reply.answer(tl::unexpected(why));
            }
          });
}

template <class Handle, class Message>
void sandbox::raise(boot_stage stage, const actors::ref<Handle>& part, milliseconds limit,
                    Message message) const {
  actors::ask_again(self, part, limit, std::string{"boot: "} += name(stage), std::move(message))
      .then([it = *this, stage] { it.up(stage); },
            [it = *this, stage](const failure& why) { it.stage_failed(stage, why); });
}

void sandbox::start_machine_stage() const {
  const auto limit = values().runtime.boot_timeout;
  start_machine order;
  order.context.deadline = actors::now(self) + limit;
  actors::ask_again(self, args->machine, limit, "boot: machine", std::move(order))
      .then(
          [it = *this](const machine_info& info) {
            it.ledger().pid = info.pid;
            it.up(boot_stage::machine);
          },
          [it = *this](const failure& why) { it.stage_failed(boot_stage::machine, why); });
}

void sandbox::up(boot_stage stage) const {
  body().busy = false;
  state().reached(stage);
  log::debug(who(), "boot: {} is up", name(stage));
  if (state().phase() == sandbox_phase::running)
    running();
  go_on();
}

void sandbox::running() const {
  log::info(who(), "runs");
  for (const auto& [id, place] : ledger().containers)
    actors::tell(place, machine_ready{ledger().pid});
  for (const auto& boot : std::exchange(body().boots, {}))
    boot.answer({});
}

// -- way down
// --------------------------------------------------------------------------------------

void sandbox::stage_failed(boot_stage stage, const failure& why) const {
  body().busy = false;
  state().half_reached(stage);
  turn_round(why);
}

/// A stage that is under way finishes first, by itself or because the pod's fate is known.
void sandbox::turn_round(const failure& why) const {
  if (state().phase() == sandbox_phase::stopped)
    return;
  if (!state().reason())
    log::info(who(), "stops: {}", why.text);
  state().begin_stop(why);
  const auto reason = *state().reason();
  args->pod->fate.ended(reason);
  tell_containers({reason});
  for (const auto& boot : std::exchange(body().boots, {}))
    boot.answer(tl::unexpected(reason));
  go_on();
}

void sandbox::step_down(boot_stage stage) const {
  body().busy = true;
  switch (stage) {
  case boot_stage::agent:
    return lower(stage, args->agent, disconnect_agent{});
  case boot_stage::machine:
    return lower(stage, args->machine,
                 stop_machine{{actors::now(self) + values().runtime.stop_timeout, {}, {}}});
  case boot_stage::devices:
    return lower(stage, args->devices, detach_devices{});
  case boot_stage::directory:
    return close_directory();
  case boot_stage::none:
    return down(boot_stage::none);
  }
}

template <class Handle, class Message>
void sandbox::lower(boot_stage stage, const actors::ref<Handle>& part, Message message) const {
  actors::ask_again(self, part, values().runtime.stop_timeout + milliseconds{500},
                    std::string{"stop: "} += name(stage), std::move(message))
      .then([it = *this, stage] { it.down(stage); },
            [it = *this, stage](const failure& why) {
              // The journal holds what could not be ended in order; its replay comes below.
              log::error(it.who(), "{}", why.text);
              it.down(stage);
            });
}

void sandbox::close_directory() const {
  const auto limit = values().runtime.stop_timeout;
  actors::run_blocking(self, args->pod->fx, args->pod->job("undo", limit, actors::now(self)),
                       [pod = args->pod, end = actors::now(self) + limit]() -> outcome<void> {
                         if (!pod->journal)
                           return {}; // it failed before there was anything to undo
                         const auto report =
                             pod::close_directory(pod->place.directory, *pod->journal, end);
                         if (!report.clean())
                           return fail(errc::host_io, "{}", report.to_string());
                         return {};
                       })
      .then([it = *this] { it.down(boot_stage::directory); },
            [it = *this](const failure& why) {
              log::error(it.who(), "left behind: {}", why.text);
              it.down(boot_stage::directory);
            });
}

void sandbox::down(boot_stage stage) const {
  body().busy = false;
  state().undone(stage);
  if (state().phase() == sandbox_phase::stopped)
    return stopped();
  go_on();
}

void sandbox::stopped() const {
  log::info(who(), "stopped");
  for (const auto& shutdown : std::exchange(body().shutdowns, {}))
    shutdown.answer(true);
}

void sandbox::tell_containers(const machine_lost& news) const {
  for (const auto& [id, place] : ledger().containers)
    actors::tell(place, news);
}

// -- containers
// ------------------------------------------------------------------------------------

void sandbox::create(const task_call<create_task>& call) const {
  const auto admitted = state().admit(call.command);
  if (!admitted) {
    // A pod that failed says why, also to who asks again because its container is gone with it.
    const auto& why = state().reason();
    return call.reply.answer(
        tl::unexpected(why && why->code != errc::cancelled ? *why : admitted.error()));
  }
  const auto known = ledger().containers.find(call.command.container);
  if (known != ledger().containers.end()) {
    actors::tell(known->second, call);
    return;
  }
  if (state().reached() == boot_stage::none)
    body().early.push_back(call);
  else
    new_container(call);
  if (state().phase() == sandbox_phase::fresh) {
    state().begin_boot();
    go_on();
  }
}

void sandbox::new_container(const task_call<create_task>& call) const {
  const auto& id = call.command.container;
  const auto tree =
      args->make_container(call.command, ledger().pid, state().phase() == sandbox_phase::running);
  ledger().containers.emplace(id, tree.place);
  actors::ask_again(self, args->supervisor, values().runtime.effect_timeout, "add container",
                    actors::add_child{tree.spec})
      .then(
          [it = *this, call] {
            const auto& entries = it.ledger().containers;
            if (const auto at = entries.find(call.command.container); at != entries.end())
              actors::tell(at->second, call);
            else
              call.reply.answer(tl::unexpected(it.state().reason().value_or(
                  failure{errc::cancelled, "create: the container was deleted", 0})));
          },
          [it = *this, call](const failure& why) {
            it.removed(call.command.container, why);
            call.reply.answer(tl::unexpected(why));
          });
}

void sandbox::removed(const container_id& id, const std::optional<failure>& why) const {
  state().removed(id);
  if (const auto at = ledger().containers.find(id); at != ledger().containers.end()) {
    ledger().containers.erase(at);
    actors::ask_again(self, args->supervisor, container_end_patience, "remove container",
                      actors::remove_child{container_tree_name(id)})
        .then([] {}, [it = *this](const failure& why) { log::warn(it.who(), "{}", why.text); });
  }
  // A pod ends with the container that bears its name: nothing can be asked of it afterwards.
  if (id.str() == state().id().str())
    turn_round(why.value_or(failure{errc::cancelled, "its container was removed", 0}));
}

template <class Command>
void sandbox::pass(const task_call<Command>& call) const {
  constexpr auto what = lifecycle::command_of<Command>();
  const auto& id = [&]() -> const container_id& {
    if constexpr (requires { call.command.key; })
      return call.command.key.container;
    else
      return call.command.container;
  }();
  if (const auto routed = state().route(id, what); !routed)
    return call.reply.answer(tl::unexpected(routed.error()));
  const auto at = ledger().containers.find(id);
  if (at == ledger().containers.end()) // admitted, but the settings are still being read
    return call.reply.answer(
        fail(errc::failed_precondition, "{}: {} is being created", lifecycle::name(what), id));
  actors::tell(at->second, call);
}

void sandbox::shut_down(const task_call<shutdown_sandbox>& call) const {
  switch (state().shutdown(call.command.now)) {
  case verdict::already_done:
    return call.reply.answer(true);
  case verdict::remember:
    return call.reply.answer(false);
  case verdict::join:
    body().shutdowns.push_back(call.reply);
    return;
  default:
    body().shutdowns.push_back(call.reply);
    return turn_round({errc::cancelled, "shutdown was asked for", 0});
  }
}

template <class Order>
actors::answer<void> sandbox::move(const char* verb, Order order, bool stands) const {
  if (state().phase() != sandbox_phase::running)
    return actors::to_caf(
        {errc::failed_precondition,
         fmt::format("{}: sandbox {} is {}", verb, state().id(), name(state().phase())), 0});
  actors::reply_guard<void> reply{self};
  if (stands)
    args->pod->paused = true; // ahead, so that nobody takes silence for death
  actors::ask_again(
      self, args->machine,
      std::min(order.context.left(actors::now(self)), values().runtime.effect_timeout), verb, order)
      .then(
          [pod = args->pod, stands, reply] {
            pod->paused = stands;
            reply.answer({});
          },
          [pod = args->pod, stands, reply](const failure& why) {
            if (stands)
              pod->paused = false;
            reply.answer(tl::unexpected(why));
          });
  return reply;
}

actors::answer<void> boot(const sandbox& it) {
  if (it.state().phase() == sandbox_phase::running)
    return {};
  if (it.state().reason())
    return actors::to_caf(*it.state().reason());
  actors::reply_guard<void> reply{it.self};
  it.body().boots.push_back(reply);
  if (it.state().phase() == sandbox_phase::fresh)
    it.state().begin_boot();
  it.go_on();
  return reply;
}

} // namespace

sandbox_actor::behavior_type run_sandbox(sandbox_actor::stateful_pointer<sandbox_body> self,
                                         sandbox_args given) {
  const sandbox it{self, std::make_shared<const sandbox_args>(std::move(given))};
  if (const auto why = it.args->pod->fate.why(); why && !it.state().reason())
    it.turn_round(*why); // it ended while nobody listened
  it.go_on();
  return {
      [it](const task_call<create_task>& call) { it.create(call); },
      [it](const task_call<exec_process>& call) { it.pass(call); },
      [it](const task_call<list_processes>& call) { it.pass(call); },
      [it](const task_call<start_process>& call) { it.pass(call); },
      [it](const task_call<kill_process>& call) { it.pass(call); },
      [it](const task_call<wait_process>& call) { it.pass(call); },
      [it](const task_call<get_state>& call) { it.pass(call); },
      [it](const task_call<resize_pty>& call) { it.pass(call); },
      [it](const task_call<close_io>& call) { it.pass(call); },
      [it](const task_call<delete_process>& call) { it.pass(call); },
      [it](const task_call<shutdown_sandbox>& call) { it.shut_down(call); },
      [it](const boot_sandbox&) { return boot(it); },
      [it](const pause_sandbox& order) {
        return it.move("pause", pause_machine{order.context}, true);
      },
      [it](const resume_sandbox& order) {
        return it.move("resume", resume_machine{order.context}, false);
      },
      [it](const container_removed& news) { it.removed(news.id, news.why); },
      [it](const machine_lost& news) { it.turn_round(news.why); },
      [it](const part_lost& news) { it.turn_round(news.why); },
  };
}

} // namespace troupe
