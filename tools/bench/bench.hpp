#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "tools/bench/rounds.hpp"
#include "tools/bench/row.hpp"
#include "tools/bench/stop.hpp"
#include "tools/bench/world.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::bench {

/// What a bench is given.
struct order {
  std::uint32_t n = 0; ///< what its `counts` says; at least 1
  std::string build;   ///< the build folder: bin, libexec, guest
  world where;         ///< of this run alone
  const stop_signal& stop;
};

/// One bench: a file of its own, and a line in registry.cpp.
struct bench {
  std::string_view name;
  std::string_view about;  ///< one line for `--list`
  std::string_view counts; ///< what `--n` is the number of
  std::uint32_t default_n = 0;
  /// Makes the measurement in a world of its own. Failed runs are in the rows; a failure means that
  /// nothing could be measured.
  outcome<std::vector<row>> (*run)(const order& what) = nullptr;
};

/// All of them, by name.
[[nodiscard]] std::span<const bench> all_benches();
/// nullptr: there is none of that name.
[[nodiscard]] const bench* find_bench(std::string_view name);

/// One line on standard error, for the person who waits.
void note(std::string_view text);

/// Notes each round: what every contestant's run came to, or why it failed.
[[nodiscard]] round_report note_rounds(const std::vector<contestant>& contestants,
                                       plan_of_rounds plan, std::string unit);

outcome<std::vector<row>> blk_io(const order& what);
outcome<std::vector<row>> ctr_run(const order& what);
outcome<std::vector<row>> exit_latency(const order& what);
outcome<std::vector<row>> shim_memory(const order& what);
outcome<std::vector<row>> vmm_memory(const order& what);
outcome<std::vector<row>> vmm_start(const order& what);

} // namespace troupe::bench
