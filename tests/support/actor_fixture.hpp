#pragma once

#include "actors/supervision/ask.hpp"
#include "actors/supervision/protocol.hpp"
#include "actors/supervision/spawn.hpp"
#include "actors/supervision/system.hpp"
#include "actors/supervision/timer.hpp"
#include "messages/vocabulary/log.hpp"

#include <caf/exit_reason.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/system_messages.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace troupe::test {

using namespace troupe::actors; // the fixture's users speak of actors only

/// What an asker has got so far; empty while it waits.
template <class T>
using awaited = std::shared_ptr<std::optional<outcome<T>>>;

/// A deterministic actor system for one test: nothing runs unless the test says so, time stands
/// still unless the test moves it, and nothing is left when the test ends. Use with
/// TEST_CASE_METHOD.
class actor_fixture {
public:
  actor_fixture() : actor_fixture(nullptr) {}
  explicit actor_fixture(std::shared_ptr<fault_plan> faults) {
    log::set_sink([this](const log::record& record) {
      logged.push_back(fmt::format("{}: {}", record.who, record.text));
    });
    system_options options;
    options.deterministic = true;
    options.faults = std::move(faults);
    options.wall_clock = [this] { return wall_time{} + (clock().current_time - started_); };
    host_ = std::make_unique<actor_system_host>(std::move(options));
    clock().current_time += std::chrono::hours{1}; // CAF takes 0 for "no time"
    started_ = clock().current_time;
    run();
  }
  actor_fixture(const actor_fixture&) = delete;
  actor_fixture& operator=(const actor_fixture&) = delete;

  ~actor_fixture() { end(); }

  /// Ends everything: CAF's own end would wait for ever for an actor that still lives. A fixture
  /// made from this one, whose members actors or observers use, calls it in its destructor. Twice
  /// is fine.
  void end() {
    if (!host_)
      return;
    for (const auto& actor : spawned_)
      send_exit(actor, caf::exit_reason::kill);
    run();
    (void)host_->stop();
    run();
    spawned_.clear();
    while (scheduler().has_pending_timeout()) {
      scheduler().trigger_timeouts();
      run();
    }
    host_.reset();
    log::set_sink({});
  }

  [[nodiscard]] actor_system_host& host() noexcept { return *host_; }
  [[nodiscard]] caf::actor_system& system() noexcept { return host_->system(); }
  [[nodiscard]] caf::scheduler::test_coordinator& scheduler() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(host_->system().scheduler());
  }
  [[nodiscard]] caf::detail::test_actor_clock& clock() { return scheduler().clock(); }
  [[nodiscard]] time_point now() { return clock().current_time; }

  /// One actor outside of any tree, with a place to ask it by. It is killed with the fixture.
  template <class State, class... Sigs, class... Params, class... Args>
  ref<caf::typed_actor<Sigs...>>
  start(std::string path,
        caf::typed_behavior<Sigs...> (*behave)(
            caf::stateful_actor<State, caf::typed_event_based_actor<Sigs...>>*, Params...),
        Args... args) {
    const auto actor = spawn(system(), actor_identity{path, 1}, behave, std::move(args)...);
    spawned_.push_back(caf::actor_cast<caf::strong_actor_ptr>(actor));
    return {std::move(path), actor};
  }

  /// A supervisor outside of any tree. It is stopped in order with the fixture.
  ref<supervisor_actor> start_supervisor(std::string path, supervisor_args args) {
    return host_->start_root(std::move(path), std::move(args), [this](std::optional<failure> why) {
      root_ended = true;
      root_failure = std::move(why);
    });
  }

  /// Handles messages, first come first served, until none is left. Time stands still.
  void run() {
    while (scheduler().try_run_once()) {
    }
  }

  /// Handles all messages in an order that `dice` chooses: any two orders CAF may produce can come
  /// up.
  template <class Dice>
  void run_shuffled(Dice& dice) {
    auto& jobs = scheduler().jobs;
    while (!jobs.empty()) {
      std::swap(jobs.front(), jobs[dice() % jobs.size()]);
      scheduler().try_run_once();
    }
  }

  /// Moves time and runs what is due, in steps so that what is due early is seen early.
  void advance(milliseconds by, milliseconds step = milliseconds{0}) {
    run();
    step = step.count() > 0 ? step : by;
    for (milliseconds gone{0}; gone < by; gone += step) {
      scheduler().advance_time(std::min(step, by - gone));
      run();
    }
  }

  /// Asks from outside; run() or advance() brings the answer.
  template <class Handle, class Message>
  auto ask(const ref<Handle>& to, Message message, milliseconds patience = milliseconds{1'000}) {
    using result = actors::detail::result_of<Handle, Message>;
    auto got = std::make_shared<std::optional<outcome<result>>>();
    host_->ask(to, patience, "test", std::move(message),
               reply_box<result>{[got](outcome<result> value) { got->emplace(std::move(value)); }});
    return got;
  }

  /// Asks, runs until all is quiet and gives the answer; a failure when there was none without
  /// time.
  template <class Handle, class Message>
  auto call(const ref<Handle>& to, Message message) {
    auto got = ask(to, std::move(message));
    run();
    using result = typename std::decay_t<decltype(*got)>::value_type;
    return got->has_value() ? std::move(**got) : result{fail(errc::internal, "no answer yet")};
  }

  static void send_exit(const caf::strong_actor_ptr& actor, caf::exit_reason reason) {
    if (actor)
      actor->enqueue(nullptr, caf::make_message_id(caf::message_priority::high),
                     caf::make_message(caf::exit_msg{actor->address(), reason}), nullptr);
  }
  template <class Handle>
  void kill(const ref<Handle>& who) {
    send_exit(who.target(), caf::exit_reason::kill);
  }

  /// Every record that was logged, "who: text".
  std::vector<std::string> logged;
  bool root_ended = false;
  std::optional<failure> root_failure;

private:
  std::unique_ptr<actor_system_host> host_;
  time_point started_{};
  std::vector<caf::strong_actor_ptr> spawned_;
};

} // namespace troupe::test
