#include "config/annotations.hpp"

#include "config/keys.hpp"
#include "config/load.hpp"
#include "config/pattern.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace troupe::config {

namespace {

constexpr std::string_view prefixes[] = {"io.katacontainers.config.", "io.troupe.config."};

/// Longest key behind the prefix. The patterns of enable_annotations run over it.
constexpr std::size_t max_key_length = 128;

/// Where a pod's words go: values to change, and what came of it.
struct change {
  config values;
  const host_limits& host;
  std::vector<std::string> warnings;
  std::vector<std::string> denied;
  std::vector<std::string> invalid;
};

/// One annotation, taken apart: "io.katacontainers.config.TABLE.KEY" = text.
struct annotation {
  annotation(const std::string& name, std::string_view prefix, const std::string& value)
      : full(name), text(value) {
    const auto rest = std::string_view(full).substr(prefix.size());
    const auto dot = std::min(rest.find('.'), rest.size());
    table = rest.substr(0, dot);
    key = rest.substr(std::min(dot + 1, rest.size()));
  }

  [[nodiscard]] std::string note(std::string_view what) const {
    return fmt::format("annotation {}: {}", full, what);
  }

  const std::string& full;
  const std::string& text;
  std::string_view table;
  std::string_view key;
};

/// Whole keys only: a pattern "kernel" does not open "kernel_params".
bool allowed(const std::vector<std::string>& patterns, std::string_view name) {
  return std::ranges::any_of(patterns, [&](const std::string& text) {
    const auto compiled = pattern::compile(text);
    return compiled && compiled->matches(std::string(name));
  });
}

outcome<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, why] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (why != std::errc{} || end != text.data() + text.size())
    return fail(errc::invalid_argument, "\"{}\" is no number", text);
  return value;
}

/// "512" is MiB, as in the file; "512Mi", "2Gi", "1G", "536870912k" name their unit.
outcome<std::uint64_t> mebibytes(std::string_view text) {
  struct unit {
    std::string_view name;
    std::uint64_t bytes;
  };
  constexpr unit units[] = {{"Ki", 1ull << 10}, {"Mi", 1ull << 20}, {"Gi", 1ull << 30},
                            {"Ti", 1ull << 40}, {"k", 1000},        {"K", 1000},
                            {"M", 1000'000},    {"G", 1000'000'000}};
  for (const auto& each : units) {
    if (!text.ends_with(each.name))
      continue;
    const auto count = TRY(number(text.substr(0, text.size() - each.name.size())));
    if (count > (1ull << 60) / each.bytes)
      return fail(errc::invalid_argument, "\"{}\" is too much", text);
    return count * each.bytes >> 20;
  }
  return number(text);
}

/// The most a pod may have: what the operator says, else what the host has.
template <class Table>
std::uint64_t ceiling(const Table& table, const host_limits& host, std::string_view name) {
  if constexpr (std::is_same_v<Table, hypervisor_config>) {
    if (name == "default_vcpus")
      return table.default_maxvcpus != 0 ? table.default_maxvcpus : host.cpus;
    if (name == "default_memory")
      return table.default_maxmemory_mib != 0 ? table.default_maxmemory_mib : host.memory_mib;
  }
  return std::numeric_limits<std::uint64_t>::max();
}

template <class Table>
outcome<std::uint32_t> bounded(const key<Table>& row, const Table& table, const host_limits& host,
                               std::string_view text) {
  const auto value = TRY(row.name == "default_memory" ? mebibytes(text) : number(text));
  const auto most = std::min<std::uint64_t>(row.most, ceiling(table, host, row.name));
  if (value < row.least || value > most)
    return fail(errc::invalid_argument, "{} is not in {} ... {}", value, row.least, most);
  return static_cast<std::uint32_t>(value);
}

template <class Table>
outcome<void> set_text(const key<Table>& row, Table& table, const std::string& text,
                       std::string& into) {
  if (text.size() > max_text_length)
    return fail(errc::invalid_argument, "is longer than {} bytes", max_text_length);
  TRY(check_text(text, row.rule, row.choices));
  if (row.valid_paths != nullptr) {
    const auto fits = [&](const std::string& glob) {
      return ::fnmatch(glob.c_str(), text.c_str(), FNM_PATHNAME | FNM_PERIOD | FNM_NOESCAPE) == 0;
    };
    if (std::ranges::none_of(table.*row.valid_paths, fits))
      return fail(errc::permission_denied, "{} matches none of the configured valid paths", text);
  }
  if (row.name == "kernel_params" && !into.empty())
    into += " " + text;
  else
    into = text;
  return {};
}

template <class Table>
outcome<void> set(const key<Table>& row, Table& table, const host_limits& host,
                  const std::string& text) {
  if (const auto* const flag = std::get_if<bool Table::*>(&row.where)) {
    if (text != "true" && text != "false")
      return fail(errc::invalid_argument, "\"{}\" is neither true nor false", text);
    table.** flag = text == "true";
    return {};
  }
  if (const auto* const count = std::get_if<std::uint32_t Table::*>(&row.where)) {
    table.** count = TRY(bounded(row, table, host, text));
    return {};
  }
  if (const auto* const time = std::get_if<seconds Table::*>(&row.where)) {
    table.** time = seconds{TRY(bounded(row, table, host, text))};
    return {};
  }
  if (const auto* const words = std::get_if<std::string Table::*>(&row.where))
    return set_text(row, table, text, table.*(*words));
  return fail(errc::permission_denied, "cannot be set by an annotation");
}

/// A table that an annotation may mean.
template <class Table>
struct target {
  std::string_view name;
  table_kind kind;
  Table& values;
  std::span<const key<Table>> rows;
  const std::vector<std::string>& patterns;
};

/// One annotation, one table. permission_denied: not for pods to say, or not here; not_found: no
/// such key in this table; invalid_argument: a bad value.
template <class Table>
outcome<void> lay(const annotation& wish, const target<Table>& over, const host_limits& host) {
  if (!allowed(over.patterns, wish.key))
    return fail(errc::permission_denied, "not allowed by enable_annotations");
  const auto row = std::ranges::find(over.rows, wish.key, &key<Table>::name);
  if (row == over.rows.end()) {
    const auto foreign = find_foreign(over.kind, wish.key);
    return fail(errc::not_found, "{}", foreign ? foreign->text() : "unknown key");
  }
  if (!row->annotation)
    return fail(errc::permission_denied, "cannot be set by an annotation");
  return set(*row, over.values, host, wish.text);
}

struct refusal {
  std::string_view table;
  failure why;

  [[nodiscard]] bool is(errc code) const { return why.code == code; }
  [[nodiscard]] std::string text() const { return fmt::format("{}: {}", table, why.text); }
};

/// The text alone if all give the same.
std::string summary(const std::vector<refusal>& all) {
  const auto& text = all.front().why.text;
  if (std::ranges::all_of(all, [&](const refusal& each) { return each.why.text == text; }))
    return text;
  std::string lines;
  for (const auto& each : all)
    lines += (lines.empty() ? "" : ", ") + each.text();
  return lines;
}

/// What a table that denies it has missed is worth a word if another took it.
void judge(change& now, const annotation& wish, const std::vector<refusal>& all, bool taken) {
  const auto is = [](errc code) { return [code](const refusal& each) { return each.is(code); }; };
  const auto bad = std::ranges::find_if(all, is(errc::invalid_argument));
  const auto unknown = std::ranges::find_if(all, is(errc::not_found));
  if (bad != all.end())
    now.invalid.push_back(wish.note(bad->why.text));
  else if (taken) {
    for (const auto& each : all)
      if (each.is(errc::permission_denied))
        now.warnings.push_back(wish.note(each.text()));
  } else if (unknown != all.end())
    now.warnings.push_back(wish.note(unknown->why.text));
  else
    now.denied.push_back(wish.note(summary(all)));
}

/// One annotation, every table that it may mean. A bad value is one everywhere; otherwise it is
/// denied only if every table denies it.
template <class Table>
void lay_over(change& now, const annotation& wish, std::initializer_list<target<Table>> tables) {
  std::vector<refusal> refusals;
  for (const auto& table : tables)
    if (auto done = lay(wish, table, now.host); !done)
      refusals.push_back({table.name, std::move(done).error()});
  if (!refusals.empty())
    judge(now, wish, refusals, refusals.size() < tables.size());
}

/// Which hypervisor an "auto" will choose is known only when it is looked for: both tables count.
void apply_to_hypervisor(change& now, const config& file, const annotation& wish) {
  using table = target<hypervisor_config>;
  const table qemu{"hypervisor.qemu", table_kind::qemu, now.values.qemu, qemu_keys(),
                   file.qemu.enable_annotations};
  const table builtin{"hypervisor.builtin", table_kind::builtin, now.values.builtin, builtin_keys(),
                      file.builtin.enable_annotations};
  const auto& name = now.values.runtime.hypervisor_name;
  if (name == "auto")
    lay_over(now, wish, {builtin, qemu});
  else
    lay_over(now, wish, {name == "builtin" ? builtin : qemu});
}

void apply(change& now, const config& file, const annotation& wish) {
  const auto& patterns = file.runtime.enable_annotations;
  auto& values = now.values;
  if (wish.key.empty() || wish.key.size() > max_key_length)
    now.denied.push_back(wish.note("not allowed by enable_annotations"));
  else if (wish.table == "hypervisor")
    apply_to_hypervisor(now, file, wish);
  else if (wish.table == "runtime")
    lay_over<runtime_config>(
        now, wish, {{"runtime", table_kind::runtime, values.runtime, runtime_keys(), patterns}});
  else if (wish.table == "agent")
    lay_over<agent_config>(
        now, wish,
        {{"agent.troupe", table_kind::agent, values.troupe_agent, agent_keys(), patterns},
         {"agent.kata", table_kind::agent, values.kata_agent, agent_keys(), patterns}});
  else
    now.denied.push_back(wish.note("not allowed by enable_annotations"));
}

void apply_all(change& now, const config& file, const annotation_map& all, bool of_hypervisor) {
  for (const auto& [full, text] : all)
    for (const auto prefix : prefixes)
      if (full.starts_with(prefix))
        if (const annotation wish(full, prefix, text);
            (wish.table == "hypervisor") == of_hypervisor)
          apply(now, file, wish);
}

} // namespace

outcome<std::vector<std::string>>
apply_annotations(config& values, const annotation_map& annotations, const host_limits& host) {
  change now{values, host, {}, {}, {}};
  apply_all(now, values, annotations, false);
  apply_all(now, values, annotations, true); // one of the others may have chosen which
  const auto& refused = now.denied.empty() ? now.invalid : now.denied;
  if (!refused.empty()) {
    auto all = now.denied;
    all.insert(all.end(), now.invalid.begin(), now.invalid.end());
    return fail(now.denied.empty() ? errc::invalid_argument : errc::permission_denied, "{}",
                fmt::join(all, "; "));
  }
  values = std::move(now.values);
  return std::move(now.warnings);
}

} // namespace troupe::config
