#include "actors/supervision/blocking.hpp"
#include "actors/supervision/fx_pool.hpp"
#include "tests/actors/supervision/counter.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <future>

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;

namespace {

/// Asks from this thread, which is no actor, and waits.
template <class Handle, class Message>
auto call(actor_system_host& host, const ref<Handle>& to, Message message) {
  using result = outcome<troupe::actors::detail::result_of<Handle, Message>>;
  auto told = std::make_shared<std::promise<result>>();
  auto answered = told->get_future();
  host.ask(to, 10s, "test", std::move(message),
           reply_box<typename result::value_type>{
               [told](result value) { told->set_value(std::move(value)); }});
  return answered.get();
}

supervisor_args one_counter(const ref<counter_actor>& place) {
  supervisor_args args;
  args.children = [place] { return std::vector{child(place, {}, &count, ref<counter_actor>{})}; };
  return args;
}

struct stuck_body {};
struct hang_now {
  std::shared_future<void> until;
};
using stuck_actor = protocol<notice<hang_now>>;
stuck_actor::behavior_type get_stuck(stuck_actor::stateful_pointer<stuck_body>) {
  return {[](const hang_now& message) { message.until.wait(); }};
}

} // namespace

TROUPE_LOCAL_MESSAGE(hang_now)

TEST_CASE("system: a tree on real threads answers, restarts and stops in order") {
  const ref<counter_actor> a{"root/a"};
  std::promise<std::optional<failure>> ended;
  {
    actor_system_host host;
    host.start_root("root", one_counter(a),
                    [&](std::optional<failure> why) { ended.set_value(std::move(why)); });
    const auto until = monotonic_clock::now() + 10s;
    while (!a && monotonic_clock::now() < until)
      std::this_thread::yield();
    CHECK(call(host, a, count_up{2})->sum == 2);
    CHECK(call(host, a, blow_up{}).error().code == errc::internal);
    while (a.generation() < 2 && monotonic_clock::now() < until)
      std::this_thread::yield();
    CHECK(call(host, a, count_up{2})->sum == 2);
    CHECK(host.stop(10s));
    CHECK_FALSE(a);
  }
  CHECK_FALSE(ended.get_future().get());
}

TEST_CASE("system: a child that hangs is given up within the bound and named") {
  std::promise<void> release;
  const hang_now hang{release.get_future().share()};
  std::promise<std::optional<failure>> ended;
  const ref<stuck_actor> a{"root/a"};
  actor_system_host host;
  supervisor_args args;
  args.children = [a] { return std::vector{child(a, {.grace = 5ms}, &get_stuck)}; };
  host.start_root("root", std::move(args),
                  [&](std::optional<failure> why) { ended.set_value(std::move(why)); });
  const auto until = monotonic_clock::now() + 10s;
  while (!tell(a, hang) && monotonic_clock::now() < until)
    std::this_thread::yield();
  CHECK(host.stop(10s));
  const auto why = ended.get_future().get();
  REQUIRE(why);
  CHECK(why->text == "root: child a: hangs in a handler and was given up");
  release.set_value();
}

TEST_CASE("system: without a root it stops at once, twice") {
  actor_system_host host;
  CHECK(host.stop());
  CHECK(host.stop());
}

TEST_CASE("system: the worker count comes from the environment and is checked") {
  const auto with = [](const char* value) {
    ::setenv("TROUPE_WORKER_THREADS", value, 1);
    auto options = system_options::from_environment();
    ::unsetenv("TROUPE_WORKER_THREADS");
    return options;
  };
  CHECK(with("")->workers == 2);
  CHECK(with("5")->workers == 5);
  for (const auto* bad : {"0", "17", "two", "3x", "-1"}) {
    const auto options = with(bad);
    REQUIRE_FALSE(options);
    CHECK(options.error().code == errc::invalid_argument);
  }
}
