#pragma once

#include "actors/supervision/hosted_actor.hpp"
#include "actors/supervision/ref.hpp"
#include "actors/supervision/supervisor_state.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_actor.hpp>

#include <functional>
#include <memory>
#include <string>

namespace troupe::actors {

/// A behaviour: a free function that gets the actor's fresh state and what it was given at spawn.
template <class State, class Handle, class... Params>
using behaviour = typename Handle::behavior_type (*)(
    typename Handle::template stateful_pointer<State>, Params...);

/// Starts one actor. Only supervisors and tests call this: everything else is a child(). Keep the
/// handle, an actor without one ends at once. Throws what the constructor of its state throws.
template <class State, class... Sigs, class... Params, class... Args>
[[nodiscard]] caf::typed_actor<Sigs...>
spawn(caf::actor_system& system, actor_identity identity,
      caf::typed_behavior<Sigs...> (*run)(
          caf::stateful_actor<State, caf::typed_event_based_actor<Sigs...>>*, Params...),
      Args... args) {
  using actor_class = hosted<State, caf::typed_event_based_actor<Sigs...>>;
  caf::actor_config config;
  typename actor_class::init init = [run, ... args = std::move(args)](auto* self) mutable {
    return run(self, std::move(args)...);
  };
  return system.spawn_impl<actor_class, caf::no_spawn_options>(config, std::move(identity),
                                                               std::move(init));
}

/// How a supervisor treats a child; the rest of the rules is its own restart_policy.
struct child_options {
  restart_mode mode = restart_mode::permanent;
  /// How long the child may take to end when asked, before it is killed. A supervisor among the
  /// children needs the sum of its own children's.
  milliseconds grace{5'000};
};

/// One child of a supervisor: how to start it, again and again, and the place it fills.
struct child_spec {
  std::shared_ptr<actor_slot> slot;
  child_options options;
  std::function<caf::strong_actor_ptr(caf::actor_system&, const actor_identity&)> start;
};

/// Describes a child that runs `run(self, args...)`. The arguments are kept and copied into every
/// run: what must survive a restart (a ledger, a state, a connection) is given as a shared_ptr.
template <class State, class... Sigs, class... Params, class... Args>
[[nodiscard]] child_spec
child(const ref<caf::typed_actor<Sigs...>>& place, child_options options,
      caf::typed_behavior<Sigs...> (*run)(
          caf::stateful_actor<State, caf::typed_event_based_actor<Sigs...>>*, Params...),
      Args... args) {
  return {place.slot(), options,
          [run, ... args = std::move(args)](caf::actor_system& system, const actor_identity& who) {
            return caf::actor_cast<caf::strong_actor_ptr>(spawn(system, who, run, args...));
          }};
}

} // namespace troupe::actors
