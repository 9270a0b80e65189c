#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <functional>
#include <span>
#include <string_view>

namespace troupe::kvm {

struct capability {
  int number = 0;
  std::string_view name;
};

/// What our machines cannot do without.
[[nodiscard]] std::span<const capability> required_capabilities() noexcept;

/// Asks `check` (KVM_CHECK_EXTENSION: 0 is "no") for each. unimplemented names all that are missing
/// at once, so that nobody learns of them one host upgrade at a time.
[[nodiscard]] outcome<void> check_capabilities(const std::function<int(int)>& check);

} // namespace troupe::kvm
