#pragma once

#include "actors/supervision/fault_plan.hpp"

#include <caf/scheduled_actor.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

namespace troupe::actors {

/// Who an actor is: its place in the tree and which run of it this is.
struct actor_identity {
  std::string path;
  std::uint64_t generation = 1;
};

/// The message boundary every actor of ours has. Before a message reaches its handler the fault
/// plan is asked ("actor:<path>:<message type>"); what the handler throws is logged with path and
/// message type, answers the request with errc::internal and ends the actor, which its supervisor
/// then restarts. Exit and down messages are no points of the fault plan: supervision itself rests
/// on them. Answers to the actor's own requests can be met by kill and throw only.
class hosted_actor {
public:
  [[nodiscard]] const actor_identity& identity() const noexcept { return identity_; }

protected:
  hosted_actor(caf::scheduled_actor& self, actor_identity identity);
  hosted_actor(const hosted_actor&) = delete;
  hosted_actor& operator=(const hosted_actor&) = delete;
  ~hosted_actor() = default;

  /// @returns whether the handler shall see the message. Throws what the fault plan wants thrown.
  [[nodiscard]] bool admit(caf::scheduled_actor& self, caf::mailbox_element& message);
  /// Logs the exception in flight and answers the request that met it.
  void report_throw(caf::scheduled_actor& self, caf::mailbox_element& message) noexcept;

private:
  [[nodiscard]] bool play(caf::scheduled_actor& self, caf::mailbox_element& message,
                          const fault_action& action);

  actor_identity identity_;
  fault_plan* faults_ = nullptr;
  /// Messages the fault plan has held back once; they pass when they come again.
  std::vector<const caf::mailbox_element*> delayed_;
};

/// The class behind every spawn(): a typed CAF actor with the boundary around its handlers.
template <class State, class Base>
class hosted final : public caf::stateful_actor<State, Base>, public hosted_actor {
public:
  using parent = caf::stateful_actor<State, Base>;
  // CAF would do so, and an aggregate takes the pointer for its first member: true, for a bool.
  static_assert(!std::is_constructible_v<State, parent*>,
                "a state is made from nothing; declare its default constructor");
  using init = std::function<typename Base::behavior_type(parent*)>;

  hosted(caf::actor_config& config, actor_identity identity, init start)
      : parent(config), hosted_actor(*this, std::move(identity)), start_(std::move(start)) {}

  using parent::consume;
  caf::invoke_message_result consume(caf::mailbox_element& message) override {
    // CAF answers this one when something is thrown, and sets it only in its own consume().
    this->current_mailbox_element(&message);
    try {
      if (!admit(*this, message))
        return caf::invoke_message_result::dropped;
      return parent::consume(message);
    } catch (...) {
      report_throw(*this, message);
      throw;
    }
  }

protected:
  typename Base::behavior_type make_behavior() override { return std::exchange(start_, {})(this); }

private:
  init start_;
};

/// The path of an actor, for logs and error texts; "?" for one that was not made by spawn().
[[nodiscard]] const std::string& path_of(const caf::scheduled_actor* self);

/// The unqualified C++ name of the first element's type: "create_task". For logs and fault points.
[[nodiscard]] std::string message_name(const caf::type_erased_tuple& content);

} // namespace troupe::actors
