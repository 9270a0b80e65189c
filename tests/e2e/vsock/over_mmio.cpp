// The vsock suite's machine: our own VMM on KVM, our device behind virtio-mmio.
#include "actors/devices/virtio/vsock/device.hpp"
#include "tests/e2e/vsock/machine.hpp"
#include "tests/support/kvm_guest.hpp"
#include "tests/support/must.hpp"
#include "tests/unit/sandbox/scratch.hpp"

#include <cstdio>
#include <stdexcept>

namespace troupe::testing {
namespace {

constexpr std::uint64_t guest_cid = 3;
constexpr milliseconds limit{10'000};
constexpr seconds boot_limit{240};

class kvm_machine final : public vsock_machine {
public:
  kvm_machine() {
    session_ = &guest_.add(new_device(), *loop_);
    guest_.boot(TROUPE_KERNEL, TROUPE_VSOCK_INITRD, "");
    const auto until = monotonic_clock::now() + boot_limit;
    while (const auto line = guest_.next_line(until)) {
      std::printf("%s\n", line->c_str());
      if (*line == "READY")
        return;
    }
    throw std::runtime_error("the guest did not come up");
  }

  std::string socket_path() const override { return folder_.file("vsock"); }
  void replace_device() override { must(session_->replace_device(new_device(), limit)); }
  /// Kernel mode runs at one or two million instructions a second.
  suite_scale scale() const override {
    return {.bulk_bytes = 4U << 20U, .connections = 40, .dials = 10};
  }
  bool alive() override { return guest_.alive(); }

private:
  std::unique_ptr<virtio::device> new_device() {
    return std::make_unique<vsock::device>(guest_cid, endpoint_);
  }

  troupe::test::scratch_folder folder_;
  std::unique_ptr<devices::worker> loop_ = must(devices::worker::start("vsock-test"));
  std::shared_ptr<vsock::endpoint> endpoint_ = must(vsock::endpoint::listen(socket_path()));
  kvm_guest guest_{1};
  mmio::session* session_ = nullptr;
};

} // namespace

vsock_machine& machine() {
  static const auto it = [] {
    skip_without_kvm(TROUPE_KERNEL);
    return std::make_unique<kvm_machine>();
  }();
  return *it;
}

} // namespace troupe::testing
