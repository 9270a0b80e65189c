#pragma once

#include "actors/supervision/protocol.hpp"
#include "actors/supervision/reply_guard.hpp"
#include "tests/support/actor_fixture.hpp"

#include <stdexcept>
#include <string>
#include <vector>

namespace troupe::test {

/// Adds and answers the sum. Fails with invalid_argument when negative.
struct count_up {
  int by = 1;
};
/// Answered later, by `give_all`.
struct count_later {};
struct give_all {};
/// Asks another counter with the given patience and answers what it said.
struct count_there {
  milliseconds patience{100};
};
struct blow_up {};
struct total {
  int sum = 0;
};

/// The actor these tests are about: it can do all that goes wrong in real ones.
using counter_actor =
    protocol<request<count_up, total>, request<count_later, total>, request<count_there, total>,
             request<blow_up, void>, notice<give_all>>;

struct counter_body {
  int sum = 0;
  std::vector<reply_guard<total>> waiting;
};

inline counter_actor::behavior_type count(counter_actor::stateful_pointer<counter_body> self,
                                          ref<counter_actor> other) {
  return {
      [self](const count_up& message) -> answer<total> {
        if (message.by < 0)
          return refuse(errc::invalid_argument, "by: {} is negative", message.by);
        return total{self->state.sum += message.by};
      },
      [self](const count_later&) -> answer<total> {
        return self->state.waiting.emplace_back(self);
      },
      [self, other](const count_there& message) -> answer<total> {
        const reply_guard<total> reply{self};
        ask(self, other, message.patience, "count there", count_up{})
            .then([reply](total value) { reply.answer(value); },
                  [reply](failure why) { reply.answer(tl::unexpected(std::move(why))); });
        return reply;
      },
      [](const blow_up&) -> answer<void> { throw std::runtime_error{"as asked"}; },
      [self](const give_all&) {
        for (const auto& reply : std::exchange(self->state.waiting, {}))
          reply.answer(total{self->state.sum});
      },
  };
}

} // namespace troupe::test

TROUPE_LOCAL_MESSAGE(troupe::test::count_up)
TROUPE_LOCAL_MESSAGE(troupe::test::count_later)
TROUPE_LOCAL_MESSAGE(troupe::test::count_there)
TROUPE_LOCAL_MESSAGE(troupe::test::blow_up)
TROUPE_LOCAL_MESSAGE(troupe::test::give_all)
TROUPE_LOCAL_MESSAGE(troupe::test::total)
