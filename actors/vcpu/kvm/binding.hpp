#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <linux/kvm.h>

#include <memory>
#include <optional>
#include <variant>

namespace troupe::kvm {

class vm;

/// An eventfd that a binding and its user share: the kernel only lets go of a binding while its
/// eventfd is still open, else the next device there gets EEXIST.
using shared_event = std::shared_ptr<const unique_fd>;

/// A guest write that signals an eventfd without leaving the kernel.
struct doorbell {
  enum class space : std::uint8_t { memory, port };
  space where = space::memory;
  /// Address or port.
  gpa at = 0;
  /// 1, 2, 4 or 8. 0: a write of any width, which costs the least (KVM_CAP_IOEVENTFD_NO_LENGTH,
  /// memory only).
  std::uint32_t length = 4;
  /// Only writes of this value; a virtio-mmio notification carries the queue's index.
  std::optional<std::uint64_t> value;
};

/// A doorbell or an interrupt line in force. Taking it back happens on destruction, with the
/// parameters it was made with. Keeps its machine and its eventfd open.
class binding {
public:
  binding(binding&&) noexcept = default;
  binding& operator=(binding&& other) noexcept;
  binding(const binding&) = delete;
  binding& operator=(const binding&) = delete;
  ~binding() { undo(); }

private:
  friend class vm;
  using request = std::variant<kvm_ioeventfd, kvm_irqfd>;

  [[nodiscard]] static outcome<binding> make(std::shared_ptr<const vm> machine, request what,
                                             shared_event event, shared_event resample = {});
  binding(std::shared_ptr<const vm> machine, request what, shared_event event,
          shared_event resample)
      : machine_(std::move(machine)), what_(what), event_(std::move(event)),
        resample_(std::move(resample)) {}
  void undo() noexcept;

  std::shared_ptr<const vm> machine_; // Empty once moved from.
  request what_;
  shared_event event_;
  shared_event resample_;
};

} // namespace troupe::kvm
