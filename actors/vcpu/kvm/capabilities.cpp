#include "actors/vcpu/kvm/capabilities.hpp"

#include <linux/kvm.h>

#include <array>
#include <string>

namespace troupe::kvm {
namespace {

constexpr std::array required{
    capability{KVM_CAP_IRQCHIP, "IRQCHIP"},
    capability{KVM_CAP_USER_MEMORY, "USER_MEMORY"},
    capability{KVM_CAP_SET_TSS_ADDR, "SET_TSS_ADDR"},
    capability{KVM_CAP_EXT_CPUID, "EXT_CPUID"},
    capability{KVM_CAP_MP_STATE, "MP_STATE"},
    capability{KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "DESTROY_MEMORY_REGION_WORKS"},
    capability{KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING"},
    capability{KVM_CAP_IRQFD, "IRQFD"},
    capability{KVM_CAP_IOEVENTFD, "IOEVENTFD"},
    capability{KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS"},
    capability{KVM_CAP_DEBUGREGS, "DEBUGREGS"},
    capability{KVM_CAP_XSAVE, "XSAVE"},
    capability{KVM_CAP_XCRS, "XCRS"},
    capability{KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT"},
};

} // namespace

std::span<const capability> required_capabilities() noexcept {
  return required;
}

outcome<void> check_capabilities(const std::function<int(int)>& check) {
  std::string missing;
  for (const auto& it : required)
    if (check(it.number) <= 0)
      missing.append(missing.empty() ? "" : ", ").append(it.name);
  if (!missing.empty())
    return fail(errc::unimplemented, "KVM of this host lacks {}", missing);
  return {};
}

} // namespace troupe::kvm
