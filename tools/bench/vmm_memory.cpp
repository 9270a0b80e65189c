#include "tools/bench/bench.hpp"
#include "tools/bench/standing.hpp"
#include "tools/bench/usage.hpp"

// Machines of 128 MiB that stand before their first instruction. Guest memory is a shared memfd on
// both sides, hence no part of RssAnon; no page of it is touched but what loading touches.

namespace troupe::bench {
namespace {

constexpr const char* name = "vmm-memory";
/// Before a process is looked at: threads come to rest.
constexpr milliseconds idle{500};
/// Machines of the process whose growth is told.
constexpr std::uint32_t more_machines = 20;

outcome<double> rss_anon(const standing& of, const stop_signal& stop) {
  TRY(stop.rest(idle));
  return static_cast<double>(TRY(read_usage(of.pid())).rss_anon_kb);
}

outcome<double> measure(const std::vector<std::string>& argv, const stop_signal& stop) {
  const auto process = TRY(standing::start(argv, stop));
  return rss_anon(process, stop);
}

struct growth {
  double anon = 0; ///< RssAnon, kB a machine
  double all = 0;  ///< what the host has less, kB a machine: the kernel's share and touched pages
};

outcome<growth> grow(const std::vector<std::string>& argv, const stop_signal& stop) {
  const auto process = TRY(standing::start(argv, stop));
  const auto anon_before = TRY(rss_anon(process, stop));
  const auto host_before = TRY(available_kb());
  for (std::uint32_t i = 0; i < more_machines; ++i)
    TRY(process.another(stop));
  const auto anon = TRY(rss_anon(process, stop)) - anon_before;
  const auto host = static_cast<double>(host_before) - static_cast<double>(TRY(available_kb()));
  return growth{anon / more_machines, host / more_machines};
}

} // namespace

outcome<std::vector<row>> vmm_memory(const order& what) {
  const auto ours = TRY(ours_standing(what.build, what.where.folder));
  const auto qemu = TRY(qemu_standing("", ""));
  row host_row{name, "slope mem-available", "kB", {}, "", {}};
  const std::vector<contestant> contestants{
      {"ours", [&](std::uint32_t) { return measure(ours, what.stop); }},
      {"qemu", [&](std::uint32_t) { return measure(qemu, what.stop); }},
      {"slope",
       [&](std::uint32_t round) -> outcome<double> {
         const auto grown = TRY(grow(ours, what.stop));
         if (round > 0) // the warm-up
           host_row.ours.add(grown.all);
         return grown.anon;
       }},
  };
  const plan_of_rounds plan{1, what.n};
  auto all = TRY(interleave(contestants, plan, note_rounds(contestants, plan, "kB")));
  for (std::size_t i = 0; i < all.size(); ++i)
    note(fmt::format("{}: {}", contestants[i].name, describe(all[i], "kB")));
  note(fmt::format("{}: {}", host_row.name, describe(host_row.ours, "kB")));
  return std::vector<row>{
      {name, "qemu", "kB", all[0], "qemu", all[1]},
      {name, "slope rss-anon", "kB", all[2], "", {}},
      host_row,
  };
}

} // namespace troupe::bench
