#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace troupe::stdio {

enum class output : std::uint8_t { out, err };

/// "stdout" or "stderr".
[[nodiscard]] constexpr std::string_view name(output which) noexcept {
  return which == output::out ? "stdout" : "stderr";
}

/// The far end of a process's streams: the agent in the guest, or memory in tests.
///
/// All members are called on the io thread. Callbacks come on the io thread too, once, and never
/// from within the call. At most one read per output and one of write and close_input are in
/// flight.
class stream_source {
public:
  virtual ~stream_source() = default;

  /// The next 1 ... `most` bytes; waits until there are some. Empty is the end of the stream.
  /// `offset` is the position of the first byte wanted: it acknowledges all before it. A source
  /// that cannot go back hands out what comes next.
  virtual void read(output which, std::uint64_t offset, std::uint32_t most,
                    std::function<void(outcome<std::string>)> done) = 0;

  /// Gives bytes to the process's stdin; waits until some are taken and answers how many.
  /// @pre !bytes.empty()
  virtual void write(std::string bytes, std::function<void(outcome<std::size_t>)> done) = 0;

  /// Ends the process's stdin. May answer from within the call.
  virtual void close_input(std::function<void(outcome<void>)> done) = 0;
};

} // namespace troupe::stdio
