#include "tools/bench/bare_machine.hpp"
#include "tools/bench/bench.hpp"
#include "tools/bench/containerd.hpp"

#include <array>

// Span of ours and of runc: from just before ctr's exec until its end was seen, which is after the
// container, its task and its snapshot are gone. The image is unpacked and everything was run once
// before: a warm page cache. One container at a time.

namespace troupe::bench {
namespace {

constexpr const char* name = "ctr-run";
constexpr const char* unit = "ms";

contestant container(const containerd& daemon, std::string who, std::string runtime) {
  return {who, [&daemon, who, runtime](std::uint32_t round) -> outcome<double> {
            const auto id = fmt::format("{}-{}", who, round);
            return TRY(daemon.run_to_its_end(runtime, id, "true")).took_ms;
          }};
}

} // namespace

outcome<std::vector<row>> ctr_run(const order& what) {
  const auto daemon = TRY(containerd::start(what.where, what.build, what.stop));
  const auto machine = TRY(bare_machine::plan(daemon.configuration()));
  note("bare boot: " + machine.describe());
  const std::vector<contestant> contestants{
      container(daemon, "troupe", our_runtime),
      container(daemon, "runc", runc_runtime),
      {"boot", [&](std::uint32_t) { return machine.boot(what.stop); }},
  };
  const plan_of_rounds plan{1, what.n};
  const auto took = TRY(interleave(contestants, plan, note_rounds(contestants, plan, unit)));
  for (std::size_t i = 0; i < took.size(); ++i)
    note(fmt::format("{}: {}", contestants[i].name, describe(took[i], unit)));
  std::vector<row> rows;
  for (const std::size_t peer : {1, 2})
    rows.push_back(
        {name, contestants[peer].name, unit, took[0], contestants[peer].name, took[peer]});
  return rows;
}

} // namespace troupe::bench
