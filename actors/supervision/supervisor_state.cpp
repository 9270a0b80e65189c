#include "actors/supervision/supervisor_state.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

namespace troupe {

using kind = supervisor_command::kind;

supervisor_state::supervisor_state(restart_policy policy) : policy_(policy) {
  policy_.first_delay = std::max(policy_.first_delay, milliseconds{1});
  policy_.max_delay = std::max(policy_.max_delay, policy_.first_delay);
}

outcome<child_id> supervisor_state::add(child_rules rules, time_point now) {
  if (stopping_)
    return fail(errc::failed_precondition, "child {}: the supervisor is stopping", rules.name);
  if (children_.size() >= max_children)
    return fail(errc::resource_exhausted, "child {}: {} children are the most", rules.name,
                max_children);
  if (std::ranges::any_of(children_, [&](const entry& c) { return c.rules.name == rules.name; }))
    return fail(errc::already_exists, "child {} exists", rules.name);
  entry fresh;
  fresh.id = ++last_id_;
  fresh.rules = std::move(rules);
  fresh.start_at = now;
  children_.push_back(std::move(fresh));
  return last_id_;
}

auto supervisor_state::remove(std::string_view name, time_point now) -> outcome<commands> {
  const auto child =
      std::ranges::find_if(children_, [&](const entry& c) { return c.rules.name == name; });
  if (child == children_.end())
    return fail(errc::not_found, "child {}", name);
  child->leaving = true;
  if (alive(*child))
    child->going_down = true;
  else
    child->now = phase::ended;
  return advance(now);
}

std::uint64_t supervisor_state::started(child_id child) {
  auto* found = find(child);
  if (found == nullptr)
    return 0;
  found->now = phase::running;
  return found->generation;
}

auto supervisor_state::start_failed(child_id child, failure why, time_point now) -> commands {
  if (auto* found = find(child); found != nullptr)
    settle(*found, std::move(why), now);
  return advance(now);
}

auto supervisor_state::ended(child_id child, std::uint64_t generation, std::optional<failure> why,
                             time_point now) -> commands {
  auto* found = find(child);
  if (found == nullptr || found->generation != generation || !alive(*found))
    return {};
  settle(*found, std::move(why), now);
  return advance(now);
}

auto supervisor_state::stop(time_point now) -> commands {
  begin_stop(std::nullopt);
  return advance(now);
}

auto supervisor_state::advance(time_point now) -> commands {
  commands out;
  run_out_of_patience(out, now);
  stop_next(out, now);
  start_next(out, now);
  sweep(out);
  return out;
}

std::optional<time_point> supervisor_state::next_due() const {
  std::optional<time_point> next;
  const auto consider = [&](time_point t) { next = next ? std::min(*next, t) : t; };
  for (const auto& child : children_) {
    if (child.now == phase::stopping || child.now == phase::killing)
      consider(child.patience_ends);
    else if (child.now == phase::waiting && !blocked(child))
      consider(child.start_at);
  }
  return next;
}

std::size_t supervisor_state::recent_restarts(time_point now) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(restarts_, [&](time_point t) { return t + policy_.window > now; }));
}

auto supervisor_state::children() const -> std::vector<child_view> {
  std::vector<child_view> out;
  for (const auto& c : children_)
    out.push_back({c.id, c.rules.name, c.generation, c.restarts, c.now == phase::running});
  return out;
}

auto supervisor_state::find(child_id child) -> entry* {
  const auto found = std::ranges::find(children_, child, &entry::id);
  return found == children_.end() ? nullptr : &*found;
}

bool supervisor_state::alive(const entry& child) {
  return child.now != phase::waiting && child.now != phase::ended;
}

bool supervisor_state::in_group(const entry& member, const entry& failed) const {
  switch (policy_.strategy) {
  case restart_strategy::one_for_one:
    return member.id == failed.id;
  case restart_strategy::one_for_all:
    return true;
  case restart_strategy::rest_for_one:
    return member.id >= failed.id; // ids grow in the order of addition
  }
  return false;
}

/// Whether siblings stand in the way of a start, whatever the time.
bool supervisor_state::blocked(const entry& child) const {
  return std::ranges::any_of(children_, [&](const entry& other) {
    if (other.now == phase::starting)
      return true;
    if (policy_.strategy == restart_strategy::one_for_one)
      return false;
    return (other.going_down && alive(other)) ||
           (other.id < child.id && other.now == phase::waiting);
  });
}

/// A run ended, or never began.
void supervisor_state::settle(entry& child, std::optional<failure> why, time_point now) {
  const bool expected = std::exchange(child.going_down, false);
  child.now = phase::ended;
  if (stopping_ || child.leaving)
    return;
  const bool restart = child.rules.mode == restart_mode::permanent ||
                       (child.rules.mode == restart_mode::transient && (why || expected));
  if (!restart) {
    child.leaving = true;
    return;
  }
  child.now = phase::waiting;
  if (expected)
    return;
  if (auto too_often = count_restart(child, why, now))
    begin_stop(std::move(too_often));
  else
    restart_group(child, now);
}

std::optional<failure> supervisor_state::count_restart(const entry& child,
                                                       const std::optional<failure>& why,
                                                       time_point now) {
  while (!restarts_.empty() && restarts_.front() + policy_.window <= now)
    restarts_.pop_front();
  restarts_.push_back(now);
  if (restarts_.size() <= policy_.max_restarts)
    return std::nullopt;
  return failure{errc::internal,
                 fmt::format("child {}: more than {} restarts within {} ms, the last after: {}",
                             child.rules.name, policy_.max_restarts, policy_.window.count(),
                             why ? why->to_string() : "an end without an error"),
                 why ? why->os_error : 0};
}

/// Doubles with every restart in the window.
milliseconds supervisor_state::delay() const {
  auto delay = policy_.first_delay;
  for (std::size_t n = 1; n < restarts_.size() && delay < policy_.max_delay; ++n)
    delay *= 2;
  return std::min(delay, policy_.max_delay);
}

void supervisor_state::restart_group(const entry& failed, time_point now) {
  const auto start_at = now + delay();
  for (auto& member : children_) {
    if (!in_group(member, failed))
      continue;
    member.start_at = std::max(member.start_at, start_at);
    ++member.restarts;
    if (alive(member))
      member.going_down = true;
  }
}

void supervisor_state::begin_stop(std::optional<failure> why) {
  if (!std::exchange(stopping_, true))
    escalation_ = std::move(why);
  for (auto& child : children_) {
    if (alive(child))
      child.going_down = true;
    else
      child.now = phase::ended;
  }
}

/// Last come, first gone; each is down before the one before it is asked. Children that leave a
/// one_for_one supervisor need not wait for each other.
void supervisor_state::stop_next(commands& out, time_point now) {
  const bool in_turn = stopping_ || policy_.strategy != restart_strategy::one_for_one;
  for (auto& child : std::views::reverse(children_)) {
    if (!child.going_down || !alive(child))
      continue;
    if (child.now == phase::running) {
      child.now = phase::stopping;
      child.patience_ends = now + child.rules.grace;
      out.push_back({kind::ask_exit, child.id, std::nullopt});
    }
    if (in_turn)
      return;
  }
}

void supervisor_state::run_out_of_patience(commands& out, time_point now) {
  bool stuck = false;
  for (auto& child : children_) {
    if (child.now == phase::stopping && child.patience_ends <= now) {
      child.now = phase::killing;
      child.patience_ends = now + kill_grace;
      out.push_back({kind::kill, child.id, std::nullopt});
    } else if (child.now == phase::killing && child.patience_ends <= now) {
      give_up(child, out);
      stuck = stuck || !child.leaving;
    }
  }
  if (stuck)
    begin_stop(stuck_);
}

void supervisor_state::give_up(entry& child, commands& out) {
  child.now = phase::ended;
  child.going_down = false;
  child.stuck =
      failure{errc::deadline_exceeded,
              fmt::format("child {}: hangs in a handler and was given up", child.rules.name), 0};
  if (!stuck_ && !child.leaving)
    stuck_ = child.stuck;
  out.push_back({kind::abandon, child.id, child.stuck});
}

/// One at a time: the next one waits for started() or start_failed().
void supervisor_state::start_next(commands& out, time_point now) {
  for (auto& child : children_) {
    if (child.now != phase::waiting || child.start_at > now || blocked(child))
      continue;
    child.now = phase::starting;
    ++child.generation;
    out.push_back({kind::start, child.id, std::nullopt});
    return;
  }
}

void supervisor_state::sweep(commands& out) {
  for (const auto& child : children_) {
    if (child.now == phase::ended)
      out.push_back({kind::removed, child.id, child.stuck});
  }
  std::erase_if(children_, [](const entry& c) { return c.now == phase::ended; });
  if (stopping_ && children_.empty() && !std::exchange(finished_, true))
    out.push_back({kind::finish, 0, escalation_ ? escalation_ : stuck_});
}

} // namespace troupe
