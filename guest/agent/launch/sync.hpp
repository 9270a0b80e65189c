#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <string_view>

namespace troupe::guest {

/// The conversation of the agent with a child it forked, over a SOCK_SEQPACKET pair that closes
/// when the child execs:
///
///   child -> agent   R            ready and parked, perhaps with the master of its terminal
///   child -> agent   E code text  failed; the child exits
///   agent -> child   G            go: exec
///   end of stream                 it runs the program now, or it died
struct sync_pair {
  /// Non-blocking.
  unique_fd agent;
  unique_fd child;
};

/// Longest error text a child sends; it quotes names from the specification.
inline constexpr std::size_t max_sync_text = 2048;

[[nodiscard]] outcome<sync_pair> make_sync_pair();

enum class sync_event { nothing, ready, failed, closed };

struct sync_message {
  sync_event event = sync_event::nothing;
  failure why;
  unique_fd terminal;
};

/// What the child says, without waiting.
[[nodiscard]] sync_message receive_from_child(int agent_end);

/// host_io when the child is gone.
[[nodiscard]] outcome<void> send_go(int agent_end);

/// The child's side. `terminal` < 0: none.
[[nodiscard]] outcome<void> send_ready(int child_end, int terminal);
void send_failure(int child_end, const failure& why) noexcept;

/// Waits for G. cancelled when the agent closed its end instead.
[[nodiscard]] outcome<void> wait_for_go(int child_end);

} // namespace troupe::guest
