#include "actors/vcpu/machine/port.hpp"

#include <sys/eventfd.h>

#include <cerrno>

namespace troupe::vcpu {
namespace {

class event_line final : public bus::irq_line {
public:
  event_line(kvm::shared_event event, kvm::binding bound)
      : event_(std::move(event)), bound_(std::move(bound)) {}
  void raise() noexcept override { (void)::eventfd_write(event_->get(), 1); }

private:
  kvm::shared_event event_;
  kvm::binding bound_;
};

class bound_doorbell final : public mmio::connection {
public:
  explicit bound_doorbell(kvm::binding bound) : bound_(std::move(bound)) {}

private:
  kvm::binding bound_;
};

} // namespace

outcome<std::unique_ptr<bus::irq_line>> make_line(const kvm::vm& machine, std::uint32_t gsi) {
  unique_fd fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!fd)
    return fail_errno(fmt::format("line {}: eventfd", gsi), errno);
  const auto event = std::make_shared<const unique_fd>(std::move(fd));
  return std::make_unique<event_line>(event, TRY(machine.bind_irq(gsi, event)));
}

outcome<std::unique_ptr<mmio::connection>>
make_doorbell(const kvm::vm& machine, gpa at, std::uint32_t queue, mmio::shared_event event) {
  kvm::doorbell bell;
  bell.at = at;
  bell.value = queue;
  return std::make_unique<bound_doorbell>(TRY(machine.bind_doorbell(bell, std::move(event))));
}

} // namespace troupe::vcpu
