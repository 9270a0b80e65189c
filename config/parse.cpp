#include "config/keys.hpp"
#include "config/load.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <array>

namespace troupe::config {

namespace {

constexpr std::array<std::string_view, 4> top_tables{"runtime", "hypervisor", "agent", "budgets"};
constexpr std::array<std::string_view, 2> our_hypervisors{"qemu", "builtin"};
constexpr std::array<std::string_view, 2> our_agents{"troupe", "kata"};
/// Tables of Kata, and of ours to come.
constexpr std::array<std::string_view, 5> other_hypervisors{"cloud-hypervisor", "clh",
                                                            "firecracker", "remote", "stratovirt"};

std::vector<std::string_view> list(std::span<const std::string_view> names) {
  return {names.begin(), names.end()};
}

/// One file on its way into the report. Notes are kept with their line, to be given in order.
class reader {
public:
  reader(const source& file, report& into) : file_(file), into_(into) {}

  void read(const toml::table& root) {
    for (auto&& [name, node] : root)
      top(name, node);
  }

  /// Hands the notes over, by line.
  void finish() {
    const auto by_line = [](const note& a, const note& b) { return a.line < b.line; };
    std::ranges::stable_sort(errors_, by_line);
    std::ranges::stable_sort(warnings_, by_line);
    for (auto& each : errors_)
      into_.errors.push_back(std::move(each.text));
    for (auto& each : warnings_)
      into_.warnings.push_back(std::move(each.text));
  }

private:
  struct note {
    toml::source_index line = 0;
    std::string text;
  };

  void error(const toml::key& at, const std::string& path, std::string_view text) {
    errors_.push_back(make(at, path, text));
  }
  void warn(const toml::key& at, const std::string& path, std::string_view text) {
    warnings_.push_back(make(at, path, text));
  }
  note make(const toml::key& at, const std::string& path, std::string_view text) const {
    const auto line = at.source().begin.line;
    return {line, fmt::format("{}:{}: {}: {}", file_.name, line, path, text)};
  }

  void unknown(const toml::key& at, const std::string& path, std::string_view what,
               const std::vector<std::string_view>& known) {
    const auto near = nearest(at.str(), known);
    warn(at, path,
         near ? fmt::format("unknown {}; did you mean {}?", what, *near)
              : fmt::format("unknown {}", what));
  }

  void top(const toml::key& name, const toml::node& node) {
    const std::string path(name.str());
    const auto* table = node.as_table();
    if (std::ranges::find(top_tables, name.str()) == top_tables.end())
      return unknown(name, path, table ? "table" : "key", list(top_tables));
    if (!table)
      return error(name, path, "must be a table");
    auto& values = into_.values;
    if (path == "runtime")
      return keys(table_kind::runtime, path, *table, values.runtime, runtime_keys());
    if (path == "budgets")
      return keys(table_kind::budgets, path, *table, values.budgets, budgets_keys());
    for (auto&& [child, value] : *table)
      named(path, child, value);
  }

  /// `[hypervisor.NAME]` and `[agent.NAME]`.
  void named(const std::string& parent, const toml::key& name, const toml::node& node) {
    const auto path = fmt::format("{}.{}", parent, name.str());
    const auto* table = node.as_table();
    if (!table)
      return error(name, path, "must be a table");
    auto& values = into_.values;
    if (path == "hypervisor.qemu")
      return keys(table_kind::qemu, path, *table, values.qemu, qemu_keys());
    if (path == "hypervisor.builtin")
      return keys(table_kind::builtin, path, *table, values.builtin, builtin_keys());
    if (path == "hypervisor.dragonball")
      return warn(name, path, "here the built-in VMM is hypervisor.builtin; the table is ignored");
    if (path == "agent.troupe")
      return keys(table_kind::agent, path, *table, values.troupe_agent, agent_keys());
    if (path == "agent.kata")
      return keys(table_kind::agent, path, *table, values.kata_agent, agent_keys());
    if (parent == "hypervisor" &&
        std::ranges::find(other_hypervisors, name.str()) != other_hypervisors.end())
      return warn(name, path, "not supported yet; the table is ignored");
    unknown(name, path, "table", parent == "agent" ? list(our_agents) : list(our_hypervisors));
  }

  template <class Table>
  void keys(table_kind kind, const std::string& prefix, const toml::table& from, Table& into,
            std::span<const key<Table>> rows) {
    for (auto&& [name, node] : from) {
      const auto path = fmt::format("{}.{}", prefix, name.str());
      const auto row = std::ranges::find(rows, name.str(), &key<Table>::name);
      if (row != rows.end()) {
        if (const auto done = assign(*row, node, into); !done)
          error(name, path, done.error().text);
      } else if (const auto foreign = find_foreign(kind, name.str())) {
        warn(name, path, foreign->text());
      } else {
        unknown(name, path, "key", names_of(rows));
      }
    }
  }

  template <class Table>
  static std::vector<std::string_view> names_of(std::span<const key<Table>> rows) {
    std::vector<std::string_view> names;
    for (const auto& row : rows)
      names.push_back(row.name);
    return names;
  }

  template <class Table>
  static outcome<void> assign(const key<Table>& row, const toml::node& node, Table& into) {
    return std::visit([&](auto member) { return take(row, node, into.*member); }, row.where);
  }

  template <class Row>
  static outcome<void> take(const Row&, const toml::node& node, bool& into) {
    const auto value = node.value_exact<bool>();
    if (!value)
      return fail(errc::invalid_argument, "must be true or false");
    into = *value;
    return {};
  }

  template <class Row>
  static outcome<void> take(const Row& row, const toml::node& node, std::uint32_t& into) {
    const auto value = node.value_exact<std::int64_t>();
    if (!value)
      return fail(errc::invalid_argument, "must be an integer");
    if (*value < row.least || *value > row.most)
      return fail(errc::invalid_argument, "{} is not in {} ... {}", *value, row.least, row.most);
    into = static_cast<std::uint32_t>(*value);
    return {};
  }

  template <class Row, class Period>
  static outcome<void> take(const Row& row, const toml::node& node,
                            std::chrono::duration<std::int64_t, Period>& into) {
    std::uint32_t count = 0;
    TRY(take(row, node, count));
    into = std::chrono::duration<std::int64_t, Period>(count);
    return {};
  }

  template <class Row>
  static outcome<void> take(const Row& row, const toml::node& node, std::string& into) {
    const auto* value = node.as_string();
    if (!value)
      return fail(errc::invalid_argument, "must be a text");
    if ((*value)->size() > max_text_length)
      return fail(errc::invalid_argument, "is longer than {} bytes", max_text_length);
    TRY(check_text(**value, row.rule, row.choices));
    into = **value;
    return {};
  }

  template <class Row>
  static outcome<void> take(const Row& row, const toml::node& node,
                            std::vector<std::string>& into) {
    const auto* values = node.as_array();
    if (!values)
      return fail(errc::invalid_argument, "must be a list of texts");
    if (values->size() > max_list_length)
      return fail(errc::invalid_argument, "has more than {} entries", max_list_length);
    std::vector<std::string> taken(values->size());
    for (std::size_t i = 0; i < taken.size(); ++i)
      TRY(take(row, *values->get(i), taken[i]));
    into = std::move(taken);
    return {};
  }

  const source& file_;
  report& into_;
  std::vector<note> errors_;
  std::vector<note> warnings_;
};

void read_file(const source& file, report& into) {
  if (file.text.size() > max_file_size) {
    into.errors.push_back(fmt::format("{}: is larger than {} bytes", file.name, max_file_size));
    return;
  }
  try {
    const auto root = toml::parse(file.text);
    reader one(file, into);
    one.read(root);
    one.finish();
  } catch (const toml::parse_error& why) {
    const auto at = why.source().begin;
    into.errors.push_back(
        fmt::format("{}:{}:{}: {}", file.name, at.line, at.column, why.description()));
  }
}

} // namespace

report parse(const std::vector<source>& sources) {
  report result;
  for (const auto& file : sources) {
    result.files.push_back(file.name);
    read_file(file, result);
  }
  return result;
}

} // namespace troupe::config
