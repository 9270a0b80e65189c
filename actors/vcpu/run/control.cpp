#include "actors/vcpu/run/control.hpp"

namespace troupe::vcpu {

std::string_view name(phase where) noexcept {
  switch (where) {
  case phase::created:
    return "created";
  case phase::paused:
    return "paused";
  case phase::running:
    return "running";
  case phase::parked:
    return "parked";
  case phase::ended:
    return "ended";
  }
  return "unknown";
}

std::string_view name(command what) noexcept {
  switch (what) {
  case command::pause:
    return "pause";
  case command::run:
    return "run";
  case command::end:
    return "end";
  }
  return "unknown";
}

outcome<void> control::ask(command what) {
  if (what == command::end) {
    wanted_ = command::end;
    return {};
  }
  if (where_ == phase::ended)
    return fail(errc::failed_precondition, "{}: the processor has ended", name(what));
  if (wanted_ == command::end)
    return fail(errc::failed_precondition, "{}: the processor is ending", name(what));
  if (where_ == phase::parked && what == command::run)
    return fail(errc::failed_precondition, "{}: the processor is parked", name(what));
  wanted_ = what;
  return {};
}

step control::next() const noexcept {
  if (wanted_ == command::end || where_ == phase::ended)
    return step::leave;
  if (where_ == phase::parked)
    return step::wait;
  return wanted_ == command::run ? step::enter_guest : step::wait;
}

void control::reached(phase where) noexcept {
  if (where_ == phase::ended || (where_ == phase::parked && where != phase::ended))
    return;
  where_ = where;
}

bool control::obeyed() const noexcept {
  switch (wanted_) {
  case command::pause:
    return where_ == phase::paused || where_ == phase::parked || where_ == phase::ended;
  case command::run:
    return where_ == phase::running || where_ == phase::parked;
  case command::end:
    return where_ == phase::ended;
  }
  return false;
}

} // namespace troupe::vcpu
