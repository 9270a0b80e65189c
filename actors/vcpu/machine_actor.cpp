#include "actors/vcpu/machine_actor.hpp"

#include "actors/supervision/ask_again.hpp"
#include "actors/supervision/blocking.hpp"
#include "actors/supervision/timer.hpp"
#include "actors/vcpu/vcpu_actor.hpp"
#include "messages/vocabulary/log.hpp"

namespace troupe {
namespace {

using actors::answer;
using actors::reply_guard;

struct machine {
  machine_actor::stateful_pointer<machine_body> self;
  std::shared_ptr<const machine_args> args;

  [[nodiscard]] machine_ledger& ledger() const { return *args->ledger; }
  [[nodiscard]] const std::string& who() const { return args->me.path(); }

  [[nodiscard]] answer<machine_info> start(const start_machine& order) const;
  void launch(time_point deadline) const;
  void answer_starters(const outcome<machine_info>& with) const;
  [[nodiscard]] answer<void> stop(const stop_machine& order) const;
  void go_on() const;
  void add_vcpus() const;
  template <class Verb>
  [[nodiscard]] answer<void> move(const char* verb, const request_context& context,
                                  Verb verb_of) const;
  void heard(const hypervisor::machine_event& what) const;
  void ended(const hypervisor::exit_info& how) const;
};

/// A file that the configuration names and that is not there is the configuration's fault; to a
/// caller of Create, not_found would say that the task is unknown.
outcome<void> check_plan(hypervisor::driver& driver, const hypervisor::machine_config& plan) {
  auto checked = driver.prepare(plan);
  if (!checked && checked.error().code == errc::not_found)
    checked.error().code = errc::invalid_argument;
  return checked;
}

/// Journals a process before it is made, and again when its number is known.
outcome<void> start_journalled(const pod_context& pod, launched_machine& out, time_point deadline) {
  journal::process_effect process;
  process.token = pod.place.token;
  out.effect = TRY(pod.journal->record(process));
  if (auto started = out.driver->start(deadline); !started) {
    (void)pod.journal->settle(*out.effect);
    return started;
  }
  const auto identity = out.driver->process();
  if (!identity)
    return fail(errc::internal, "hypervisor: runs without a process");
  process.pid = identity->pid;
  process.start_time = identity->start_time;
  return pod.journal->amend(*out.effect, process);
}

/// Blocking: check, journal, run.
outcome<launched_machine> launch_blocking(const machine_args& args, time_point deadline,
                                          const machine_launch::make_known& known) {
  const auto& pod = *args.pod;
  launched_machine out;
  out.driver = args.make_driver(pod.chosen.hypervisor, [me = args.me](const auto& what) {
    actors::tell(me, machine_news{what});
  });
  if (!out.driver)
    return fail(errc::unimplemented, "hypervisor {}: not in this build", pod.chosen.hypervisor);
  TRY(check_plan(*out.driver, TRY(plan_machine(pod.values, pod.chosen, pod.place))));
  TRY(known(out.driver));
  TRY(out.driver->capabilities().own_process ? start_journalled(pod, out, deadline)
                                             : out.driver->start(deadline));
  return out;
}

machine_info info_of(const hypervisor::driver& driver) {
  const auto process = driver.process().value_or(hypervisor::process_identity{});
  return {static_cast<std::uint32_t>(process.pid)};
}

answer<machine_info> machine::start(const start_machine& order) const {
  if (const auto why = args->pod->fate.why())
    return actors::to_caf(*why);
  if (ledger().running)
    return ledger().info;
  const reply_guard<machine_info> reply{self};
  self->state.starters.push_back(reply);
  if (self->state.starters.size() == 1)
    launch(order.context.deadline);
  return reply;
}

void machine::launch(time_point deadline) const {
  const auto limit = args->pod->values.runtime.boot_timeout;
  const auto end = std::min(deadline, actors::now(self) + limit);
  actors::run_blocking(self, args->pod->fx, {args->pod->id.str(), "start machine", end},
                       [args = args, end] {
                         return args->ledger->launch.run(
                             [&](const auto& known) { return launch_blocking(*args, end, known); });
                       })
      .then(
          [it = *this](const launched_machine& made) {
            const auto info = info_of(*made.driver);
            log::info(it.who(), "pid {}: {}: {}", info.pid, it.args->pod->chosen.hypervisor,
                      it.args->pod->chosen.why);
            it.ledger().driver = made.driver;
            it.ledger().info = info;
            it.ledger().running = !it.ledger().ended;
            it.go_on(); // Another actor may have begun it, and missed its end.
            it.answer_starters(info);
          },
          [it = *this](const failure& why) { it.answer_starters(tl::unexpected(why)); });
}

void machine::answer_starters(const outcome<machine_info>& with) const {
  for (const auto& starter : std::exchange(self->state.starters, {}))
    starter.answer(with);
}

answer<void> machine::stop(const stop_machine& order) const {
  const reply_guard<void> reply{self};
  const auto limit = args->pod->values.runtime.stop_timeout;
  const auto end = std::min(order.context.deadline, actors::now(self) + limit);
  actors::run_blocking(self, args->pod->fx, {args->pod->id.str(), "stop machine", end},
                       [args = args, end]() -> outcome<void> {
                         const auto it = TRY(args->ledger->launch.end(end));
                         if (it && it->effect)
                           return args->pod->journal->settle(*it->effect);
                         return {};
                       })
      .then(
          [it = *this, reply] {
            it.ledger().running = false;
            reply.answer({});
          },
          [reply](const failure& why) { reply.answer(tl::unexpected(why)); });
  return reply;
}

template <class Verb>
answer<void> machine::move(const char* verb, const request_context& context, Verb verb_of) const {
  if (const auto why = args->pod->fate.why())
    return actors::to_caf(*why);
  if (!ledger().running)
    return actors::to_caf(
        {errc::failed_precondition, fmt::format("{}: the machine does not run", verb), 0});
  const reply_guard<void> reply{self};
  const auto limit = args->pod->values.runtime.effect_timeout;
  const auto end = std::min(context.deadline, actors::now(self) + limit);
  actors::run_blocking(self, args->pod->fx,
                       {args->pod->id.str(), std::string{verb} += " machine", end},
                       [driver = ledger().driver, verb_of, end] { return verb_of(*driver, end); })
      .then([reply] { reply.answer({}); },
            [reply](const failure& why) { reply.answer(tl::unexpected(why)); });
  return reply;
}

/// What became of the machine while nobody listened.
void machine::go_on() const {
  if (!ledger().running)
    return;
  if (const auto how = ledger().driver->wait(time_point{})) // A look, since that is past.
    return ended(*how);
  add_vcpus();
}

/// A facade for each processor; without one it runs all the same.
void machine::add_vcpus() const {
  const auto processors = ledger().driver->processors();
  auto& places = ledger().vcpus;
  for (std::size_t i = places.size(); i < processors.size(); ++i)
    places.emplace_back(fmt::format("{}/vcpu{}", args->supervisor.path(), processors[i]->id()));
  for (std::size_t i = 0; i < processors.size(); ++i) {
    const vcpu_args child{processors[i], places[i]};
    actors::ask_again(self, args->supervisor, args->pod->values.runtime.effect_timeout, "add vcpu",
                      actors::add_child{actors::child(child.me, {}, run_vcpu, child)})
        .then([] {},
              [path = child.me.path()](const failure& why) {
                if (why.code != errc::already_exists)
                  log::error(path, "{}", why.text);
              });
  }
}

void machine::heard(const hypervisor::machine_event& what) const {
  if (const auto* moved = std::get_if<hypervisor::processor_moved>(&what))
    if (moved->id < ledger().vcpus.size())
      actors::tell(ledger().vcpus[moved->id], vcpu_moved{moved->where});
  // Also when the call failed for one of its devices: whoever is in there can answer again.
  if (std::holds_alternative<hypervisor::machine_resumed>(what))
    args->pod->paused = false;
  if (const auto* end = std::get_if<hypervisor::machine_ended>(&what))
    ended(end->how);
}

void machine::ended(const hypervisor::exit_info& how) const {
  ledger().running = false;
  if (std::exchange(ledger().ended, true))
    return;
  const failure why{errc::machine_gone, "machine: " + how.text, 0};
  if (how.reason == hypervisor::end_reason::stopped)
    log::info(who(), "{}", how.text);
  else
    log::error(who(), "{}", how.text);
  for (const auto& one : ledger().vcpus)
    actors::tell(one, vcpu_moved{vcpu::phase::ended});
  // First the fact, then the news: who asks later finds it, who listens now hears it.
  args->pod->fate.ended(why);
  args->pod->machine_ended(how);
  actors::tell(args->owner, machine_lost{why});
}

} // namespace

machine_actor::behavior_type run_machine(machine_actor::stateful_pointer<machine_body> self,
                                         machine_args given) {
  const machine it{self, std::make_shared<const machine_args>(std::move(given))};
  it.go_on();
  return {
      [it](const start_machine& order) { return it.start(order); },
      [it](const stop_machine& order) { return it.stop(order); },
      [it](const pause_machine& order) {
        return it.move("pause", order.context,
                       [](auto& driver, time_point end) { return driver.pause(end); });
      },
      [it](const resume_machine& order) {
        return it.move("resume", order.context,
                       [](auto& driver, time_point end) { return driver.resume(end); });
      },
      [it](const machine_news& news) { it.heard(news.what); },
  };
}

} // namespace troupe
