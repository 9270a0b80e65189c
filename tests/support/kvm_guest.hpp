#pragma once

#include "actors/vcpu/machine/machine.hpp"
#include "tests/support/guest.hpp"

#include <cstdint>
#include <memory>

namespace troupe::testing {

/// A guest under our own VMM, for what concerns the machine and not its devices.
class kvm_guest : public guest {
public:
  /// @pre it has been booted
  [[nodiscard]] virtual vcpu::machine& machine() = 0;
};

[[nodiscard]] std::unique_ptr<kvm_guest> make_kvm_guest(std::uint32_t processors);

} // namespace troupe::testing
