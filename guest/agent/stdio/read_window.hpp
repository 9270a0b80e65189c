#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::guest {

/// Most bytes of one answer, and most that a stream keeps: the host chooses the length it asks for,
/// and what it has not acknowledged stays in the guest's memory.
inline constexpr std::size_t max_window = 256u * 1024;

/// What of an output stream has been read from the process and not been let go yet.
///
/// A plain reader (kata-agent's protocol) lets go of bytes by reading them. A reader that names
/// offsets lets go of everything below the offset it asks for, so that one that was restarted asks
/// for its last offset again and loses nothing. No thread rule: a plain value.
class read_window {
public:
  /// Up to `length` bytes from `offset` (absent: from the first kept one, which lets go of them);
  /// an empty string at the end of the stream; nothing when there is no byte yet.
  /// @returns failed_precondition for bytes let go already, invalid_argument beyond the end.
  [[nodiscard]] outcome<std::optional<std::string>> take(std::size_t length,
                                                         std::optional<std::uint64_t> offset);

  /// Bytes from the process. @pre data.size() <= room()
  void append(std::string_view data) { kept_ += data; }
  /// There will be no more.
  void finish() noexcept { finished_ = true; }

  [[nodiscard]] bool finished() const noexcept { return finished_; }
  [[nodiscard]] std::size_t room() const noexcept { return max_window - kept_.size(); }

private:
  std::uint64_t base_ = 0; ///< Offset in the stream of kept_[0].
  std::string kept_;
  bool finished_ = false;
};

} // namespace troupe::guest
