#include "tools/bench/bench.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace troupe::bench {
namespace {

constexpr std::array benches{
    bench{"blk", "4 KiB of a file at random by our device, against the host's own calls",
          "rounds of 200 and 1000 requests each", 40, blk_io},
    bench{"ctr-run", "a container from start to end, against runc and a bare boot of its machine",
          "rounds", 10, ctr_run},
    bench{"exit-latency", "what a guest's write costs, against a bare KVM_RUN loop",
          "rounds of 500 writes each", 20, exit_latency},
    bench{"shim-memory", "memory and threads of an idle pod's daemon, against runc's shim",
          "pods of each kind", 5, shim_memory},
    bench{"vmm-memory", "memory of a process with machines that stand, against QEMU", "rounds", 10,
          vmm_memory},
    bench{"vmm-start",
          "a machine until its processor is about to run, against QEMU and bare ioctls", "rounds",
          300, vmm_start},
};

std::string told(const outcome<double>& result, std::string_view unit) {
  return result ? fmt::format("{:.1f} {}", *result, unit)
                : fmt::format("FAILED ({})", result.error().to_string());
}

} // namespace

std::span<const bench> all_benches() {
  return benches;
}

const bench* find_bench(std::string_view name) {
  const auto* found = std::ranges::find(benches, name, &bench::name);
  return found == benches.end() ? nullptr : found;
}

void note(std::string_view text) {
  std::fprintf(stderr, "troupe-bench: %.*s\n", static_cast<int>(text.size()), text.data());
}

round_report note_rounds(const std::vector<contestant>& contestants, plan_of_rounds plan,
                         std::string unit) {
  std::vector<std::string> names;
  for (const auto& each : contestants)
    names.push_back(each.name);
  return [names, plan, unit](std::uint32_t round, const std::vector<outcome<double>>& results) {
    auto line = round < plan.warm_ups
                    ? fmt::format("warm-up {} of {}", round + 1, plan.warm_ups)
                    : fmt::format("round {} of {}", round - plan.warm_ups + 1, plan.counted);
    for (std::size_t i = 0; i < results.size(); ++i)
      line += fmt::format("{} {} {}", i == 0 ? ":" : ",", names[i], told(results[i], unit));
    note(line);
  };
}

} // namespace troupe::bench
