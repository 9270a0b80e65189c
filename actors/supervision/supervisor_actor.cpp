#include "actors/supervision/supervisor_actor.hpp"

#include "actors/supervision/reply_guard.hpp"
#include "actors/supervision/timer.hpp"
#include "messages/vocabulary/log.hpp"

#include <caf/exit_reason.hpp>
#include <caf/system_messages.hpp>

#include <algorithm>
#include <exception>
#include <iterator>
#include <map>
#include <utility>

namespace troupe::actors {

/// Carries out the commands of a supervisor_state: the hands to its head.
class supervised_children {
public:
  supervised_children(caf::scheduled_actor* self, supervisor_args args)
      : self_(self), args_(std::move(args)), rules_(args_.policy) {}
  supervised_children(const supervised_children&) = delete;
  supervised_children& operator=(const supervised_children&) = delete;
  /// However the supervisor ends, its children end with it. After an orderly stop there are none.
  ~supervised_children();

  void start_first();
  [[nodiscard]] outcome<void> add(child_spec spec);
  [[nodiscard]] answer<void> remove(const std::string& name);
  [[nodiscard]] child_list list() const;
  void on_stop(const caf::exit_msg& message);
  void on_down(const caf::down_msg& message);

private:
  struct running_child {
    child_spec spec;
    caf::strong_actor_ptr actor;
    /// Which run this is for the rules; starts anew with this supervisor.
    std::uint64_t run = 0;
    /// Which run this is for everyone else, over all restarts of this supervisor.
    std::uint64_t generation = 0;
    std::vector<reply_guard<void>> leaving_answers;
  };

  void carry_out(supervisor_state::commands todo);
  [[nodiscard]] supervisor_state::commands carry_out(const supervisor_command& command);
  [[nodiscard]] supervisor_state::commands start(child_id id);
  void send_exit(const running_child& child, caf::exit_reason reason,
                 caf::message_priority urgency);
  void abandon(running_child& child);
  void let_go(running_child& child);
  void finish(const std::optional<failure>& why);
  void set_timer();
  void report(supervision_event::kind what, const running_child& child, std::optional<failure> why);

  caf::scheduled_actor* self_;
  supervisor_args args_;
  supervisor_state rules_;
  std::map<child_id, running_child> children_;
  timer due_;
  /// What the host asked us to end with.
  caf::error stop_reason_;
};

supervised_children::~supervised_children() {
  for (auto& [id, child] : children_) {
    if (child.actor == nullptr)
      continue;
    child.spec.slot->unbind(child.generation);
    send_exit(child, caf::exit_reason::kill, caf::message_priority::high);
  }
}

void supervised_children::start_first() {
  if (args_.children) {
    for (auto& spec : args_.children()) {
      const auto path = spec.slot->path();
      if (const auto added = add(std::move(spec)); !added)
        log::error(path_of(self_), "{}: {}", path, added.error().to_string());
    }
  }
}

outcome<void> supervised_children::add(child_spec spec) {
  const auto time = now(self_);
  const auto id = TRY(
      rules_.add({std::string{spec.slot->name()}, spec.options.mode, spec.options.grace}, time));
  children_.emplace(id, running_child{std::move(spec), nullptr, 0, 0, {}});
  carry_out(rules_.advance(time));
  return {};
}

answer<void> supervised_children::remove(const std::string& name) {
  const auto child = std::ranges::find_if(
      children_, [&](const auto& c) { return c.second.spec.slot->name() == name; });
  if (child == children_.end())
    return refuse(errc::not_found, "child {}", name);
  const reply_guard<void> reply{self_};
  child->second.leaving_answers.push_back(reply);
  if (auto todo = rules_.remove(name, now(self_)))
    carry_out(*std::move(todo));
  return reply;
}

child_list supervised_children::list() const {
  child_list out;
  for (const auto& view : rules_.children()) {
    out.children.push_back(
        {children_.at(view.id).spec.slot->path(), view.generation, view.restarts, view.running});
  }
  return out;
}

void supervised_children::on_stop(const caf::exit_msg& message) {
  stop_reason_ = message.reason;
  carry_out(rules_.stop(now(self_)));
}

void supervised_children::on_down(const caf::down_msg& message) {
  const auto child = std::ranges::find_if(children_, [&](const auto& c) {
    return c.second.actor && c.second.actor->address() == message.source;
  });
  if (child == children_.end())
    return; // given up before
  auto why = end_reason(message.reason);
  const auto run = child->second.run;
  let_go(child->second);
  report(supervision_event::kind::ended, child->second, why);
  carry_out(rules_.ended(child->first, run, std::move(why), now(self_)));
}

void supervised_children::carry_out(supervisor_state::commands todo) {
  while (!todo.empty()) {
    supervisor_state::commands next;
    for (const auto& command : todo)
      std::ranges::move(carry_out(command), std::back_inserter(next));
    todo = std::move(next);
  }
  set_timer();
}

supervisor_state::commands supervised_children::carry_out(const supervisor_command& command) {
  using kind = supervisor_command::kind;
  switch (command.what) {
  case kind::start:
    return start(command.child);
  case kind::ask_exit:
    send_exit(children_.at(command.child), caf::exit_reason::user_shutdown,
              caf::message_priority::normal);
    return {};
  case kind::kill:
    report(supervision_event::kind::killed, children_.at(command.child), std::nullopt);
    send_exit(children_.at(command.child), caf::exit_reason::kill, caf::message_priority::high);
    return {};
  case kind::abandon:
    report(supervision_event::kind::given_up, children_.at(command.child), command.why);
    abandon(children_.at(command.child));
    return {};
  case kind::removed: {
    const auto child = children_.extract(command.child);
    for (const auto& reply : child.mapped().leaving_answers)
      reply.answer(command.why ? outcome<void>{tl::unexpected(*command.why)} : outcome<void>{});
    return {};
  }
  case kind::finish:
    finish(command.why);
    return {};
  }
  return {};
}

supervisor_state::commands supervised_children::start(child_id id) {
  auto& child = children_.at(id);
  child.run = rules_.started(id);
  child.generation = child.spec.slot->generation() + 1;
  try {
    child.actor = child.spec.start(self_->system(), {child.spec.slot->path(), child.generation});
  } catch (const std::exception& e) {
    failure why{errc::internal, fmt::format("start {}: {}", child.spec.slot->path(), e.what()), 0};
    report(supervision_event::kind::ended, child, why);
    return rules_.start_failed(id, std::move(why), now(self_));
  }
  child.spec.slot->bind(child.actor, child.generation);
  // Not a link: through one, CAF lets the kill of a child kill us, whatever our exit handler says.
  self_->monitor(child.actor->address());
  report(supervision_event::kind::started, child, std::nullopt);
  return rules_.advance(now(self_));
}

void supervised_children::send_exit(const running_child& child, caf::exit_reason reason,
                                    caf::message_priority urgency) {
  child.actor->enqueue(nullptr, caf::make_message_id(urgency),
                       caf::make_message(caf::exit_msg{self_->address(), reason}), nullptr);
}

void supervised_children::abandon(running_child& child) {
  self_->demonitor(child.actor->address());
  let_go(child);
}

void supervised_children::let_go(running_child& child) {
  child.spec.slot->unbind(child.generation);
  child.actor = nullptr;
}

void supervised_children::finish(const std::optional<failure>& why) {
  if (!why)
    return self_->quit(stop_reason_);
  log::error(path_of(self_), "gives up: {}", why->to_string());
  if (args_.observe)
    args_.observe({supervision_event::kind::escalated, path_of(self_), 0, why});
  self_->quit(to_caf({why->code, fmt::format("{}: {}", path_of(self_), why->text), why->os_error}));
}

void supervised_children::set_timer() {
  cancel(self_, due_);
  const auto next = rules_.next_due();
  if (!next)
    return;
  const auto wait = std::chrono::ceil<milliseconds>(*next - now(self_));
  due_ = after(self_, wait, [this] { carry_out(rules_.advance(now(self_))); });
}

void supervised_children::report(supervision_event::kind what, const running_child& child,
                                 std::optional<failure> why) {
  const auto& path = child.spec.slot->path();
  if (why)
    log::warn(path, "run {} ended: {}", child.generation, why->to_string());
  if (what == supervision_event::kind::killed)
    log::warn(path, "run {} does not end when asked and is killed", child.generation);
  if (args_.observe)
    args_.observe({what, path, child.generation, std::move(why)});
}

supervisor_actor::behavior_type supervise(supervisor_actor::stateful_pointer<supervisor_body> self,
                                          supervisor_args args) {
  auto& children = self->state.children;
  children = std::make_shared<supervised_children>(self, std::move(args));
  self->set_exit_handler([held = children.get()](caf::scheduled_actor*, caf::exit_msg& message) {
    held->on_stop(message);
  });
  self->set_down_handler([held = children.get()](caf::scheduled_actor*, caf::down_msg& message) {
    held->on_down(message);
  });
  children->start_first();
  return {
      [self](const add_child& message) -> answer<void> {
        return give(self->state.children->add(message.spec));
      },
      [self](const remove_child& message) -> answer<void> {
        return self->state.children->remove(message.name);
      },
      [self](const list_children&) -> answer<child_list> { return self->state.children->list(); },
  };
}

} // namespace troupe::actors
