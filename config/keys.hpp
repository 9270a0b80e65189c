#pragma once

#include "config/config.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// The keys of the configuration as data: one row a key. Reading, annotations, the nearest-key hint
/// and the table in docs/configuration.md all go by these rows.
namespace troupe::config {

/// What a text value must be.
enum class text_rule : std::uint8_t {
  line,     ///< no control characters
  words,    ///< letters, digits and `_=+,.-`: what goes into a VMM's argument list
  path,     ///< absolute, no `.` or `..` component
  choice,   ///< one of key::choices
  patterns, ///< a list of POSIX extended regular expressions
  globs,    ///< a list of absolute globs
};

template <class Table>
struct key {
  using field =
      std::variant<bool Table::*, std::uint32_t Table::*, milliseconds Table::*, seconds Table::*,
                   std::string Table::*, std::vector<std::string> Table::*>;
  std::string_view name;
  field where;
  std::string_view meaning;
  /// Of numbers and times (in the key's unit), inclusive.
  std::uint32_t least = 0;
  std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
  text_rule rule = text_rule::line;
  std::span<const std::string_view> choices = {};
  /// A path that annotations may set only if a glob of this list matches.
  std::vector<std::string> Table::*valid_paths = nullptr;
  /// Whether an annotation may ever set it, if `enable_annotations` agrees.
  bool annotation = false;
};

[[nodiscard]] std::span<const key<runtime_config>> runtime_keys() noexcept;
[[nodiscard]] std::span<const key<hypervisor_config>> qemu_keys() noexcept;
[[nodiscard]] std::span<const key<hypervisor_config>> builtin_keys() noexcept;
[[nodiscard]] std::span<const key<agent_config>> agent_keys() noexcept;
[[nodiscard]] std::span<const key<budgets_config>> budgets_keys() noexcept;

/// A key of Kata, or of another table of ours, that means nothing in this one.
struct foreign_key {
  std::string_view name;
  /// What to do instead; empty = it is not supported yet.
  std::string_view hint;

  [[nodiscard]] std::string_view text() const noexcept {
    return hint.empty() ? "not supported yet" : hint;
  }
};

/// Renamed, fixed or not yet supported, if `name` is one of those in a table of that kind.
enum class table_kind : std::uint8_t { runtime, qemu, builtin, agent, budgets };
[[nodiscard]] std::optional<foreign_key> find_foreign(table_kind table,
                                                      std::string_view name) noexcept;

/// Checks `text` by `rule`; `choices` for text_rule::choice. Failures name what is wrong, not
/// where.
[[nodiscard]] outcome<void> check_text(std::string_view text, text_rule rule,
                                       std::span<const std::string_view> choices);

/// The member of `names` with the smallest edit distance to `word`, if that is near enough to be
/// meant: at most a third of the word's length.
[[nodiscard]] std::optional<std::string_view> nearest(std::string_view word,
                                                      const std::vector<std::string_view>& names);

} // namespace troupe::config
