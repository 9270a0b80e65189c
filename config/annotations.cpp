#include "config/annotations.hpp"

#include "config/keys.hpp"
#include "config/load.hpp"
#include "config/pattern.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <charconv>

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

/// The most a pod may have: what the operator says, else what the host has, within the key's range.
std::uint64_t ceiling(const config& values, const host_limits& host, std::string_view name) {
  if (name == "default_vcpus")
    return values.qemu.default_maxvcpus != 0 ? values.qemu.default_maxvcpus : host.cpus;
  if (name == "default_memory")
    return values.qemu.default_maxmemory_mib != 0 ? values.qemu.default_maxmemory_mib
                                                  : host.memory_mib;
  return std::numeric_limits<std::uint64_t>::max();
}

template <class Table>
outcome<void> set_number(const change& now, const key<Table>& row, std::string_view text,
                         std::uint32_t& into) {
  const auto value = TRY(row.name == "default_memory" ? mebibytes(text) : number(text));
  const auto most = std::min<std::uint64_t>(row.most, ceiling(now.values, now.host, row.name));
  if (value < row.least || value > most)
    return fail(errc::invalid_argument, "{} is not in {} ... {}", value, row.least, most);
  into = static_cast<std::uint32_t>(value);
  return {};
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
outcome<void> set(const change& now, const key<Table>& row, Table& table, const std::string& text) {
  if (const auto* const flag = std::get_if<bool Table::*>(&row.where)) {
    if (text != "true" && text != "false")
      return fail(errc::invalid_argument, "\"{}\" is neither true nor false", text);
    table.** flag = text == "true";
    return {};
  }
  if (const auto* const count = std::get_if<std::uint32_t Table::*>(&row.where))
    return set_number(now, row, text, table.*(*count));
  if (const auto* const time = std::get_if<seconds Table::*>(&row.where)) {
    std::uint32_t value = 0;
    TRY(set_number(now, row, text, value));
    table.*(*time) = seconds{value};
    return {};
  }
  if (const auto* const words = std::get_if<std::string Table::*>(&row.where))
    return set_text(row, table, text, table.*(*words));
  return fail(errc::permission_denied, "cannot be set by an annotation");
}

template <class Table>
void apply_one(change& now, table_kind kind, std::span<const key<Table>> rows,
               std::vector<Table*> tables, const annotation& wish) {
  const auto row = std::ranges::find(rows, wish.key, &key<Table>::name);
  if (row == rows.end()) {
    const bool foreign = find_foreign(kind, wish.key).has_value();
    now.warnings.push_back(wish.note(foreign ? "not supported yet" : "unknown key"));
    return;
  }
  if (!row->annotation) {
    now.denied.push_back(wish.note("cannot be set by an annotation"));
    return;
  }
  for (auto* const table : tables)
    if (const auto done = set(now, *row, *table, wish.text); !done) {
      auto& list = done.error().code == errc::permission_denied ? now.denied : now.invalid;
      list.push_back(wish.note(done.error().text));
      return;
    }
}

void apply(change& now, const config& file, const annotation& wish) {
  const bool of_hypervisor = wish.table == "hypervisor";
  const bool known = of_hypervisor || wish.table == "runtime" || wish.table == "agent";
  const auto& patterns =
      of_hypervisor ? file.qemu.enable_annotations : file.runtime.enable_annotations;
  if (!known || wish.key.empty() || wish.key.size() > max_key_length ||
      !allowed(patterns, wish.key)) {
    now.denied.push_back(wish.note("not allowed by enable_annotations"));
    return;
  }
  auto& values = now.values;
  if (of_hypervisor)
    apply_one<hypervisor_config>(now, table_kind::hypervisor, hypervisor_keys(), {&values.qemu},
                                 wish);
  else if (wish.table == "runtime")
    apply_one<runtime_config>(now, table_kind::runtime, runtime_keys(), {&values.runtime}, wish);
  else
    apply_one<agent_config>(now, table_kind::agent, agent_keys(),
                            {&values.troupe_agent, &values.kata_agent}, wish);
}

} // namespace

outcome<std::vector<std::string>>
apply_annotations(config& values, const annotation_map& annotations, const host_limits& host) {
  change now{values, host, {}, {}, {}};
  for (const auto& [full, text] : annotations)
    for (const auto prefix : prefixes)
      if (full.starts_with(prefix))
        apply(now, values, annotation(full, prefix, text));
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
