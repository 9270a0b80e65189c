#include "actors/vcpu/kvm/binding.hpp"

#include "actors/vcpu/kvm/call.hpp"
#include "actors/vcpu/kvm/vm.hpp"
#include "messages/vocabulary/log.hpp"

namespace troupe::kvm {
namespace {

outcome<void> submit(int vm, const std::variant<kvm_ioeventfd, kvm_irqfd>& what) {
  if (const auto* bell = std::get_if<kvm_ioeventfd>(&what))
    return put([&] { return fmt::format("KVM_IOEVENTFD at {:#x}", bell->addr); }, vm, KVM_IOEVENTFD,
               *bell);
  const auto& line = std::get<kvm_irqfd>(what);
  return put([&] { return fmt::format("KVM_IRQFD of line {}", line.gsi); }, vm, KVM_IRQFD, line);
}

} // namespace

outcome<binding> binding::make(std::shared_ptr<const vm> machine, request what, shared_event event,
                               shared_event resample) {
  TRY(submit(machine->descriptor(), what));
  return binding{std::move(machine), what, std::move(event), std::move(resample)};
}

binding& binding::operator=(binding&& other) noexcept {
  if (this == &other)
    return *this;
  undo();
  machine_ = std::move(other.machine_);
  what_ = other.what_;
  event_ = std::move(other.event_);
  resample_ = std::move(other.resample_);
  return *this;
}

void binding::undo() noexcept {
  if (!machine_)
    return;
  if (auto* bell = std::get_if<kvm_ioeventfd>(&what_))
    bell->flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
  else
    std::get<kvm_irqfd>(what_).flags = KVM_IRQFD_FLAG_DEASSIGN;
  if (const auto done = submit(machine_->descriptor(), what_); !done)
    log::error("kvm", "taking back: {}", done.error().text);
  machine_.reset();
}

} // namespace troupe::kvm
