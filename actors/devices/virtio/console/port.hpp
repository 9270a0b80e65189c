#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstddef>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

namespace troupe::console {

/// Bytes that wait for the guest to read; a caller that types faster is refused.
inline constexpr std::size_t input_max = 64U << 10;

/// The host's end of a guest's console. It outlives the device's logic: input that the guest has
/// not read stays.
class port {
public:
  /// What the guest wrote, in pieces of any length up to a few KiB, as hostile as the guest: to be
  /// cut into lines of bounded length and number before a person sees it. Called on the device's
  /// loop; must not block or throw.
  using output = std::function<void(std::string_view)>;

  explicit port(output to) : output_(std::move(to)) {}

  /// Input for the guest; resource_exhausted when not all of it fits, and then none is taken. Any
  /// thread.
  [[nodiscard]] outcome<void> type(std::string_view text);

  /// The device's side, on its loop. `tell` is called by type(), on its caller's thread.
  void listen(std::function<void()> tell);
  [[nodiscard]] bool has_input() const;
  /// Copies the next bytes of input without taking them away; returns how many.
  [[nodiscard]] std::size_t peek(std::span<char> into) const;
  void drop(std::size_t count);
  void print(std::string_view text) const { output_(text); }

private:
  output output_;
  mutable std::mutex mutex_; // Guards all below.
  std::string input_;
  std::function<void()> tell_;
};

} // namespace troupe::console
