#pragma once

#include "actors/supervision/ask.hpp"
#include "actors/supervision/fault_plan.hpp"
#include "actors/supervision/ref.hpp"
#include "actors/supervision/reply_box.hpp"
#include "actors/supervision/supervisor_actor.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <functional>
#include <memory>

namespace troupe::actors {

/// Fewest and most scheduler workers; more than this never helped and each costs memory and a
/// malloc arena.
inline constexpr std::size_t min_workers = 1;
inline constexpr std::size_t max_workers = 16;

struct system_options {
  std::size_t workers = 2;
  /// One message at a time, by hand, with virtual time (tests, simulation); nothing runs by itself.
  bool deterministic = false;
  std::shared_ptr<fault_plan> faults;
  /// Where wall_now() gets its time.
  std::function<wall_time()> wall_clock = [] { return std::chrono::system_clock::now(); };

  /// The defaults with the worker count of TROUPE_WORKER_THREADS; invalid_argument names the
  /// variable.
  [[nodiscard]] static outcome<system_options> from_environment();
};

/// The settings of an actor_system, and what actors find through it.
class system_config final : public caf::actor_system_config {
public:
  explicit system_config(system_options options);
  const system_options options;
};

/// The options of the system an actor lives in.
[[nodiscard]] const system_options& options_of(const caf::actor_system& system);

namespace detail {
/// Runs closures inside an actor, so that threads without one can ask.
struct errand {
  std::function<void(caf::scheduled_actor*)> run;
};
using gate_actor = protocol<notice<errand>>;
} // namespace detail

/// Owns an actor system and its root supervisor. Block signals before making one: its threads
/// inherit the mask. Nothing is printed and no file or argument is parsed by CAF.
class actor_system_host {
public:
  explicit actor_system_host(system_options options = {});
  /// stop() with the default patience. A system whose actors still hang then cannot be taken down
  /// safely: it is logged and left behind with its threads.
  ~actor_system_host();
  actor_system_host(const actor_system_host&) = delete;
  actor_system_host& operator=(const actor_system_host&) = delete;

  [[nodiscard]] caf::actor_system& system() noexcept { return *system_; }

  /// Starts the tree: a supervisor at path `name`. Once.
  /// `ended` is called on a scheduler thread when it ends, with the reason when it escalated.
  ref<supervisor_actor> start_root(std::string name, supervisor_args args,
                                   std::function<void(std::optional<failure>)> ended = {});

  /// Stops the tree in order. deadline_exceeded when it is not down after `patience`; may be called
  /// again. Not from an actor. On a deterministic system it only sends the order: run the
  /// scheduler.
  outcome<void> stop(milliseconds patience = milliseconds{30'000});

  /// ask() for threads that are no actors: connection handlers, main(). The answer comes through
  /// `reply`, on a scheduler thread. Any thread.
  template <class Handle, class Message, class Result>
  void ask(const ref<Handle>& to, milliseconds patience, std::string stage, Message message,
           reply_box<Result> reply) {
    static_assert(std::is_same_v<Result, detail::result_of<Handle, Message>>);
    tell(gate_, detail::errand{[=, stage = std::move(stage)](caf::scheduled_actor* self) {
           auto failed = [reply](failure why) { reply.answer(tl::unexpected(std::move(why))); };
           if constexpr (std::is_void_v<Result>)
             actors::ask(self, to, patience, stage, message)
                 .then([reply] { reply.answer({}); }, failed);
           else
             actors::ask(self, to, patience, stage, message)
                 .then([reply](Result value) { reply.answer(std::move(value)); }, failed);
         }});
  }

private:
  struct root_watch;

  std::unique_ptr<system_config> config_;
  std::unique_ptr<caf::actor_system> system_;
  ref<detail::gate_actor> gate_{"gate"};
  std::shared_ptr<root_watch> root_;
};

} // namespace troupe::actors

TROUPE_LOCAL_MESSAGE(troupe::actors::detail::errand)
