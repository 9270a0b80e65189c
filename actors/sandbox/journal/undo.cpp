#include "actors/sandbox/journal/undo.hpp"

#include <algorithm>

namespace troupe::journal {

std::string undo_report::to_string() const {
  auto text = fmt::format("undid {}, {} left", undone, remaining.size());
  for (const auto& [what, why] : remaining)
    text += fmt::format("; {}: {}", describe(what.what), why.to_string());
  return text;
}

outcome<void> undo_one(file& journal, effect_id id, host_effects& host, time_point deadline) {
  const auto live = journal.find(id);
  if (!live)
    return {};
  if (live->boot == journal.this_boot() || survives_reboot(live->what))
    TRY(host.undo(live->what, journal.roots(), std::min(deadline, host.now() + undo_limit)));
  return journal.settle(id);
}

undo_report undo_all(file& journal, host_effects& host, time_point deadline) {
  undo_report report;
  auto effects = journal.live();
  std::ranges::reverse(effects);
  for (auto& live : effects) {
    if (auto undone = undo_one(journal, live.id, host, deadline); undone)
      ++report.undone;
    else
      report.remaining.push_back({std::move(live), std::move(undone).error()});
  }
  return report;
}

} // namespace troupe::journal
