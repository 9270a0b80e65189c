#include "actors/vcpu/vcpu_actor.hpp"

#include "actors/supervision/timer.hpp"

namespace troupe {
namespace {

using actors::answer;
using actors::reply_guard;
using vcpu::phase;

/// The longest a processor may take between two instructions, when the caller sets no deadline: a
/// device may keep it for its own patience.
constexpr milliseconds pause_patience{5000};

struct processor {
  vcpu_actor::stateful_pointer<vcpu_body> self;
  std::shared_ptr<const vcpu_args> args;

  [[nodiscard]] outcome<std::shared_ptr<vcpu::processor_port>> port() const {
    if (auto it = args->processor.lock())
      return it;
    return fail(errc::machine_gone, "{}: its machine is gone", args->me.path());
  }

  [[nodiscard]] answer<vcpu_report> describe() const;
  [[nodiscard]] answer<void> pause(const pause_vcpu& order) const;
  [[nodiscard]] answer<void> resume() const;
  void moved(phase where) const;
  void answer_pausers(const outcome<void>& with) const;
};

failure over(const vcpu::processor_port& it) {
  const auto why = it.why();
  return {errc::machine_gone,
          fmt::format("vcpu{}: {}", it.id(), why ? why->text : std::string{"it has ended"}), 0};
}

answer<vcpu_report> processor::describe() const {
  const auto it = port();
  if (!it)
    return actors::to_caf(it.error());
  const auto& count = (*it)->count();
  vcpu_report out;
  out.id = (*it)->id();
  out.where = (*it)->where();
  if (const auto why = (*it)->why())
    out.why = why->text;
  out.exits = count.exits;
  out.port_accesses = count.pio_in + count.pio_out;
  out.memory_accesses = count.mmio_read + count.mmio_write;
  out.kicks = count.intr;
  return out;
}

answer<void> processor::pause(const pause_vcpu& order) const {
  const auto it = port();
  if (!it)
    return actors::to_caf(it.error());
  if (auto asked = (*it)->ask(vcpu::command::pause); !asked)
    return actors::to_caf(over(**it));
  if ((*it)->where() == phase::paused)
    return {};
  const reply_guard<void> reply{self};
  self->state.pausers.push_back(reply);
  const auto left = std::min(order.context.left(actors::now(self)), pause_patience);
  // Answers this pause only: a later one has a deadline of its own.
  (void)actors::after(self, left, [reply, path = args->me.path()] {
    reply.answer(fail(errc::deadline_exceeded, "{}: pause: it does not stand yet", path));
  });
  moved((*it)->where()); // it may have come to rest between the two looks
  return reply;
}

answer<void> processor::resume() const {
  const auto it = port();
  if (!it)
    return actors::to_caf(it.error());
  answer_pausers(fail(errc::cancelled, "{}: pause: it was resumed", args->me.path()));
  if (auto asked = (*it)->ask(vcpu::command::run); !asked)
    return actors::to_caf(over(**it));
  return {};
}

void processor::moved(phase where) const {
  if (where == phase::paused)
    return answer_pausers({});
  if (where != phase::parked && where != phase::ended)
    return;
  const auto it = port();
  answer_pausers(tl::unexpected(it ? over(**it) : it.error()));
}

void processor::answer_pausers(const outcome<void>& with) const {
  for (const auto& one : std::exchange(self->state.pausers, {}))
    one.answer(with);
}

} // namespace

vcpu_actor::behavior_type run_vcpu(vcpu_actor::stateful_pointer<vcpu_body> self, vcpu_args given) {
  const processor it{self, std::make_shared<const vcpu_args>(std::move(given))};
  return {
      [it](const describe_vcpu&) { return it.describe(); },
      [it](const pause_vcpu& order) { return it.pause(order); },
      [it](const resume_vcpu&) { return it.resume(); },
      [it](const vcpu_moved& news) { it.moved(news.where); },
  };
}

} // namespace troupe
