#include "actors/devices/transport/mmio/ledger.hpp"

namespace troupe::mmio {

void ledger::start(std::uint64_t features, std::vector<std::unique_ptr<virtio::queue>> queues) {
  features_ = features;
  queues_ = std::move(queues);
  started_ = true;
  ++generation_;
}

void ledger::stop() noexcept {
  for (auto& it : queues_)
    it.reset();
  features_ = 0;
  started_ = false;
  ++generation_;
}

// The queues exist since they were made ready; only the memory may be another one by now.
outcome<void> ledger::attach_queues() {
  for (const auto& it : queues_)
    if (it)
      TRY(it->rebind(ram_));
  return {};
}

int ledger::kick_of(std::size_t index) const noexcept {
  return queues_[index] ? doorbell_of(index)->get() : -1;
}

void ledger::stopped(bool for_good) noexcept {
  if (for_good)
    tell_.need_reset(true);
}

} // namespace troupe::mmio
