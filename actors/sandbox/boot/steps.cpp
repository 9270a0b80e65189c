#include "actors/sandbox/boot/steps.hpp"

#include <utility>

namespace troupe::boot {
namespace {

void collect(unwind_report& report, const std::string& step, outcome<void> done) {
  if (!done)
    report.problems.push_back(within("undo " + step, std::move(done).error()).value());
}

} // namespace

outcome<journal::effect_id> step_context::record(const journal::effect& what) {
  const auto id = TRY(journal_.record(what));
  made_.push_back(id);
  return id;
}

outcome<void> step_context::amend(journal::effect_id id, const journal::effect& what) {
  return journal_.amend(id, what);
}

sequence::sequence(std::vector<step> steps, journal::file& journal, journal::host_effects& host,
                   observer tell)
    : steps_(std::move(steps)), journal_(journal), host_(host), observer_(std::move(tell)) {}

outcome<void> sequence::up_one() {
  if (made_.size() == steps_.size())
    return fail(errc::failed_precondition, "boot: no step is left");
  const auto index = made_.size();
  const auto& next = steps_[index];
  outcome<void> done;
  if (cancelled_) {
    done = fail(errc::cancelled, "called off");
  } else {
    tell(direction::up, index, false);
    made_.emplace_back();
    step_context context{journal_, host_.now() + next.limit, made_.back()};
    done = next.act(context);
  }
  if (!done) {
    last_unwind_ = down();
    return within(next.name, std::move(done).error());
  }
  tell(direction::up, index, true);
  return {};
}

outcome<void> sequence::up() {
  while (made_.size() < steps_.size())
    TRY(up_one());
  return {};
}

unwind_report sequence::down_one() {
  unwind_report report;
  if (!made_.empty())
    undo_top(report);
  last_unwind_ = report;
  return report;
}

unwind_report sequence::down() {
  unwind_report report;
  while (!made_.empty())
    undo_top(report);
  last_unwind_ = report;
  return report;
}

void sequence::undo_top(unwind_report& report) {
  const auto index = made_.size() - 1;
  const auto& top = steps_[index];
  tell(direction::down, index, false);
  const auto deadline = host_.now() + top.undo_limit;
  if (top.undo)
    collect(report, top.name, top.undo(deadline));
  auto& effects = made_.back();
  for (auto id = effects.rbegin(); id != effects.rend(); ++id)
    collect(report, top.name, undo_one(journal_, *id, host_, host_.now() + top.undo_limit));
  made_.pop_back();
  tell(direction::down, index, true);
}

void sequence::tell(direction way, std::size_t index, bool finished) const {
  if (observer_)
    observer_({way, index, steps_[index].name, finished});
}

} // namespace troupe::boot
