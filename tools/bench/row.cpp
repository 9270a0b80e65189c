#include "tools/bench/row.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace troupe::bench {
namespace {

/// Three decimals: a microsecond of a millisecond, and no digits that were not measured.
nlohmann::ordered_json number(std::optional<double> value) {
  if (!value)
    return nullptr;
  return std::round(*value * 1000) / 1000;
}

std::string text(std::optional<double> value) {
  return value ? fmt::format("{:.1f}", *value) : "none";
}

} // namespace

std::string json_line(const row& what) {
  const auto p50 = what.ours.percentile(50);
  const auto peer_p50 = what.peers.percentile(50);
  nlohmann::ordered_json out;
  out["bench"] = what.bench;
  out["row"] = what.name;
  out["unit"] = what.unit;
  out["n"] = what.ours.runs();
  out["p50"] = number(p50);
  out["p90"] = number(what.ours.percentile(90));
  out["p99"] = number(what.ours.percentile(99));
  if (what.peer.empty())
    out["peer"] = nullptr;
  else
    out["peer"] = what.peer;
  out["peer_p50"] = number(peer_p50);
  out["ratio"] = number(ratio(p50, peer_p50));
  out["failures"] = what.ours.failures() + what.peers.failures();
  return out.dump();
}

std::string describe(const samples& what, std::string_view unit) {
  return fmt::format("least {}, p50 {}, p90 {}, p99 {} {} in {} runs, {} failed",
                     text(what.least()), text(what.percentile(50)), text(what.percentile(90)),
                     text(what.percentile(99)), unit, what.runs(), what.failures());
}

} // namespace troupe::bench
