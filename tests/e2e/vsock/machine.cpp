#include "tests/e2e/vsock/machine.hpp"

#include "tests/support/must.hpp"

#include <cstdio>
#include <stdexcept>

namespace troupe::testing {
namespace {

constexpr std::uint64_t guest_cid = 3;

seconds boot_limit() {
  return traits_of_guests().slow ? seconds{240} : seconds{60};
}

} // namespace

vsock_machine::vsock_machine()
    : loop_(must(devices::worker::start("vsock-test"))),
      endpoint_(must(vsock::endpoint::listen(socket_path()))), guest_(make_guest()) {
  guest_->add(new_device(), *loop_);
  guest_->boot(TROUPE_INITRD, "");
  const auto until = monotonic_clock::now() + boot_limit();
  while (const auto line = guest_->next_line(until)) {
    std::printf("%s\n", line->c_str());
    if (*line == "READY")
      return;
  }
  throw std::runtime_error("the guest did not come up");
}

suite_scale vsock_machine::scale() {
  if (traits_of_guests().slow)
    return {.bulk_bytes = 4U << 20U, .connections = 40, .dials = 10};
  return {};
}

std::unique_ptr<virtio::device> vsock_machine::new_device() const {
  return std::make_unique<vsock::device>(guest_cid, endpoint_);
}

vsock_machine& machine() {
  static const auto it = [] {
    need_guests();
    return std::make_unique<vsock_machine>();
  }();
  return *it;
}

} // namespace troupe::testing
