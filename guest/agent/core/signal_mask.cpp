#include "guest/agent/core/signal_mask.hpp"

#include <charconv>
#include <cstdint>

namespace troupe::guest {
namespace {

std::uint64_t mask_of(std::string_view status, std::string_view key) noexcept {
  const auto at = status.find(key);
  if (at == std::string_view::npos)
    return 0;
  auto digits = status.substr(at + key.size());
  digits.remove_prefix(digits.find_first_not_of(" \t") == std::string_view::npos
                           ? digits.size()
                           : digits.find_first_not_of(" \t"));
  std::uint64_t mask = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), mask, 16);
  return mask;
}

} // namespace

bool takes_signal(std::string_view status, int signal) noexcept {
  const auto taken =
      mask_of(status, "\nSigBlk:") | mask_of(status, "\nSigIgn:") | mask_of(status, "\nSigCgt:");
  return (taken >> (signal - 1) & 1) != 0;
}

} // namespace troupe::guest
