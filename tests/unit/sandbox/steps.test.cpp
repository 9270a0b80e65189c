#include "actors/sandbox/boot/steps.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::boot;
using namespace std::chrono_literals;
using journal::effect;
using journal::file_effect;
using journal::root;
using troupe::test::scratch_folder;

namespace {

constexpr std::size_t step_count = 4;
using story = std::vector<std::string>;

/// A host that remembers what was undone and fails on demand.
class told_host final : public journal::host_effects {
public:
  explicit told_host(story& told) : told_(told) {}
  outcome<void> undo(const effect& what, const journal::root_table&, time_point) override {
    told_.push_back("take back " + std::get<file_effect>(what).where.path);
    if (failing)
      return fail(errc::host_io, "injected");
    return {};
  }
  time_point now() const override { return time_point{} + 50s; }
  bool failing = false;

private:
  story& told_;
};

struct steps_fixture {
  steps_fixture() {
    auto made =
        journal::file::create(folder.file("journal"), {1, 2}, {{root::state, "/run/troupe/x"}});
    REQUIRE(made);
    book = *std::move(made);
  }

  /// Steps s0 ... s3; each journals one effect, then does its work; `failing` fails after the
  /// record.
  std::vector<step> steps() {
    std::vector<step> list;
    for (std::size_t i = 0; i < step_count; ++i) {
      step next;
      next.name = fmt::format("s{}", i);
      next.limit = milliseconds{1000 * (i + 1)};
      next.act = [this, i](step_context& context) -> outcome<void> {
        TRY(context.record(file_effect{{root::state, fmt::format("e{}", i)}}));
        deadlines.push_back(context.deadline());
        told.push_back(fmt::format("do s{}", i));
        if (i == failing)
          return fail(errc::host_io, "broke");
        return {};
      };
      next.undo = [this, i](time_point) -> outcome<void> {
        told.push_back(fmt::format("undo s{}", i));
        return {};
      };
      list.push_back(std::move(next));
    }
    return list;
  }

  scratch_folder folder;
  std::unique_ptr<journal::file> book;
  story told;
  std::vector<time_point> deadlines;
  told_host host{told};
  std::size_t failing = step_count;
};

} // namespace

TEST_CASE_METHOD(steps_fixture,
                 "steps: all go up in order with their deadlines, and down in reverse") {
  sequence boot{steps(), *book, host};
  REQUIRE(boot.up());
  CHECK(told == story{"do s0", "do s1", "do s2", "do s3"});
  CHECK(deadlines == std::vector{time_point{} + 51s, time_point{} + 52s, time_point{} + 53s,
                                 time_point{} + 54s});
  CHECK(book->live().size() == step_count);
  CHECK(boot.up_one().error().code == errc::failed_precondition);
  told.clear();
  CHECK(boot.down().clean());
  CHECK(told == story{"undo s3", "take back e3", "undo s2", "take back e2", "undo s1",
                      "take back e1", "undo s0", "take back e0"});
  CHECK(book->live().empty());
  CHECK(boot.reached() == 0);
}

TEST_CASE_METHOD(steps_fixture, "steps: a failure at any step undoes that one and all before it") {
  for (failing = 0; failing < step_count; ++failing) {
    CAPTURE(failing);
    told.clear();
    sequence boot{steps(), *book, host};
    const auto went = boot.up();
    REQUIRE_FALSE(went);
    CHECK(went.error().code == errc::host_io);
    CHECK(went.error().text == fmt::format("s{}: broke", failing));
    story wanted;
    for (std::size_t i = 0; i <= failing; ++i)
      wanted.push_back(fmt::format("do s{}", i));
    for (std::size_t i = failing + 1; i-- > 0;) {
      wanted.push_back(fmt::format("undo s{}", i));
      wanted.push_back(fmt::format("take back e{}", i));
    }
    CHECK(told == wanted);
    CHECK(book->live().empty());
    CHECK(boot.last_unwind().clean());
  }
}

TEST_CASE_METHOD(steps_fixture, "steps: a cancel before any step undoes all before it") {
  for (std::size_t at = 0; at < step_count; ++at) {
    CAPTURE(at);
    told.clear();
    sequence* running = nullptr;
    sequence boot{steps(), *book, host, [&](const progress& now) {
                    if (now.way == direction::up && now.finished && now.index + 1 == at)
                      running->cancel();
                  }};
    running = &boot;
    if (at == 0)
      boot.cancel();
    const auto went = boot.up();
    REQUIRE_FALSE(went);
    CHECK(went.error().code == errc::cancelled);
    CHECK(went.error().text == fmt::format("s{}: called off", at));
    CHECK(told.size() == 3 * at);
    CHECK(book->live().empty());
  }
}

TEST_CASE_METHOD(steps_fixture,
                 "steps: an undo that fails skips nothing, and its effect stays live") {
  sequence boot{steps(), *book, host};
  REQUIRE(boot.up());
  host.failing = true;
  const auto report = boot.down();
  CHECK(report.problems.size() == step_count);
  CHECK(report.problems.front().text == "undo s3: injected");
  CHECK(book->live().size() == step_count);
}

TEST_CASE_METHOD(steps_fixture, "steps: they can be taken one by one, and progress is told") {
  story seen;
  sequence boot{steps(), *book, host, [&](const progress& now) {
                  seen.push_back(fmt::format("{}{} {}", now.way == direction::up ? "+" : "-",
                                             now.name, now.finished));
                }};
  REQUIRE(boot.up_one());
  REQUIRE(boot.up_one());
  CHECK(boot.reached() == 2);
  CHECK(boot.down_one().clean());
  CHECK(boot.reached() == 1);
  CHECK(seen == story{"+s0 false", "+s0 true", "+s1 false", "+s1 true", "-s1 false", "-s1 true"});
  CHECK(boot.down_one().clean());
  CHECK(boot.down_one().clean());
}
