#include "actors/supervision/ask_again.hpp"
#include "tests/actors/supervision/counter.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;

namespace {

/// Counts there, stubbornly.
struct count_stubbornly {
  milliseconds patience{1000};
};
/// A request that is an error the second time.
struct open_once {
  static bool done_before(errc code) { return code == errc::already_exists; }
};
struct open_stubbornly {
  bool repeated = false;
};

using door_actor = protocol<request<open_once, void>>;
using stubborn_actor = protocol<request<count_stubbornly, total>, request<open_stubbornly, void>>;

door_actor::behavior_type door(door_actor::stateful_pointer<int>, std::shared_ptr<bool> open) {
  return {[open](const open_once&) -> answer<void> {
    if (std::exchange(*open, true))
      return refuse(errc::already_exists, "open already");
    return {};
  }};
}

stubborn_actor::behavior_type stubborn(stubborn_actor::stateful_pointer<int> self,
                                       ref<counter_actor> counter, ref<door_actor> door) {
  return {
      [self, counter](const count_stubbornly& message) -> answer<total> {
        const reply_guard<total> reply{self};
        ask_again(self, counter, message.patience, "count", count_up{})
            .then([reply](total value) { reply.answer(value); },
                  [reply](failure why) { reply.answer(tl::unexpected(std::move(why))); });
        return reply;
      },
      [self, door](const open_stubbornly& message) -> answer<void> {
        const reply_guard<void> reply{self};
        auto asked = ask_again(self, door, 1000ms, "open", open_once{});
        (message.repeated ? std::move(asked).repeated() : std::move(asked))
            .then([reply] { reply.answer({}); },
                  [reply](failure why) { reply.answer(tl::unexpected(std::move(why))); });
        return reply;
      },
  };
}

/// A counter and a door under a supervisor, and who asks them.
struct stubborn_fixture : actor_fixture {
  explicit stubborn_fixture(std::string_view rules)
      : actor_fixture(fault_plan::parse_text(rules).value()) {
    supervisor_args args;
    args.children = [this] {
      return std::vector<child_spec>{child(counter, {}, &count, ref<counter_actor>{}),
                                     child(place, {}, &door, open)};
    };
    root = start_supervisor("pod", std::move(args));
    asker = start("asker", &stubborn, counter, place);
    run();
  }
  ~stubborn_fixture() { end(); }

  std::shared_ptr<bool> open = std::make_shared<bool>(false);
  ref<counter_actor> counter{"pod/counter"};
  ref<door_actor> place{"pod/door"};
  ref<supervisor_actor> root;
  ref<stubborn_actor> asker;
};

} // namespace

TROUPE_LOCAL_MESSAGE(count_stubbornly)
TROUPE_LOCAL_MESSAGE(open_once)
TROUPE_LOCAL_MESSAGE(open_stubbornly)

TEST_CASE("ask again: a peer killed over the request is asked anew after its restart") {
  stubborn_fixture f{"actor:pod/counter:count_up kill @1"};
  const auto got = f.ask(f.asker, count_stubbornly{}, 2000ms);
  for (int i = 0; i < 200 && !*got; ++i)
    f.advance(5ms);
  REQUIRE(*got);
  CHECK((**got)->sum == 1);
}

TEST_CASE("ask again: patience ends it, and the last answer is told") {
  stubborn_fixture f{"actor:pod/counter:count_up kill"};
  const auto got = f.ask(f.asker, count_stubbornly{50ms}, 2000ms);
  for (int i = 0; i < 40 && !*got; ++i)
    f.advance(5ms);
  REQUIRE(*got);
  CHECK((*got)->error().code == errc::restarting);
}

TEST_CASE("ask again: any other failure is told at once") {
  stubborn_fixture f{"actor:pod/counter:count_up fail(ENOSPC) @1"};
  CHECK(f.call(f.asker, count_stubbornly{}).error().os_error == ENOSPC);
}

TEST_CASE("ask again: what an earlier try has done counts as done, but only then") {
  stubborn_fixture f{""};
  *f.open = true;
  CHECK(f.call(f.asker, open_stubbornly{}).error().code == errc::already_exists);
  CHECK(f.call(f.asker, open_stubbornly{true}));
}
