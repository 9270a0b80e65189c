#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <string>
#include <string_view>

/// The near end of a process's streams: what containerd names in Create and Exec.
namespace troupe::stdio {

/// Where an output goes. Both empty: nowhere, the bytes are read and dropped.
struct output_end {
  /// Written to; non-blocking when it is a fifo.
  unique_fd fd{};
  /// A read end of the same fifo. While we hold it, no write fails for want of a reader and nothing
  /// is lost when containerd attaches late or attaches again.
  unique_fd keeper{};

  /// A fifo can be waited for; a file can not and need not.
  [[nodiscard]] bool is_fifo() const noexcept { return bool{keeper}; }
};

/// Where stdin comes from. Both empty: nowhere, the process reads the end at once.
struct input_end {
  unique_fd fd{};
  /// A write end of the same fifo, only for a terminal: while we hold it, a client that detaches
  /// ends nothing; CloseIO lets go of it. Without a terminal the last writer's leaving is the end
  /// of the input, as with runc: ctr may never send CloseIO when its own input ended early.
  unique_fd keeper{};
};

/// Opens the target of `stream` ("stdout", "stderr"): a path or fifo:// URI of an existing fifo, or
/// a file:// URI that is appended to and made (0600) when missing. Empty: nowhere.
/// @returns invalid_argument that names stream and path: relative, missing, not a fifo, unknown
/// scheme; unimplemented for binary://; host_io.
[[nodiscard]] outcome<output_end> open_output(std::string_view stream, const std::string& where);

/// Opens stdin: a path or fifo:// URI of an existing fifo. Empty: nowhere.
/// @returns as open_output().
[[nodiscard]] outcome<input_end> open_input(const std::string& where, bool terminal);

} // namespace troupe::stdio
