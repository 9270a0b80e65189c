#pragma once

#include "actors/vcpu/memory/address_range.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace troupe::boot {

/// What Linux takes, without the NUL (COMMAND_LINE_SIZE is 2048 on x86).
inline constexpr std::size_t max_command_line = 2047;

/// Builds a kernel command line word by word. Linux knows one kind of quote, `"`, and no escape, so
/// some texts cannot be said; they are refused, never changed. All failures are invalid_argument,
/// name the word, and leave the line as it was:
///   - control characters (NUL and line ends too) anywhere;
///   - blanks, quotes or `=` in a name, an empty name;
///   - quotes in a value, an open quote in a text;
///   - a line that would be longer than max_command_line;
///   - anything behind a word `--`: from there on words are for the guest's first program.
class command_line {
public:
  /// "quiet"
  [[nodiscard]] outcome<void> flag(std::string_view name);
  /// "name=value", the value in quotes if it holds blanks.
  [[nodiscard]] outcome<void> option(std::string_view name, std::string_view value);
  /// "virtio_mmio.device=SIZE@ADDRESS:LINE", for kernels that find no ACPI tables. A device that is
  /// in the tables too must not be here: Linux would find it twice.
  [[nodiscard]] outcome<void> device(const memory::device_window& where);
  /// Words as an operator wrote them, quotes and all.
  [[nodiscard]] outcome<void> append(std::string_view words);

  [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
  [[nodiscard]] outcome<void> add(std::string_view words);

  std::string text_;
  bool closed_ = false; // A word `--` was seen.
};

} // namespace troupe::boot
