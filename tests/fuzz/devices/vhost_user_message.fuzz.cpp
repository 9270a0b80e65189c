// A front-end that sends any messages: the input is a byte stream of frames. Descriptors come along
// where a request could want them. The back-end answers or refuses, and lives.
#include "actors/devices/vhost_user/backend.hpp"
#include "tests/support/guest_ram.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

using namespace troupe;
using namespace troupe::vhost_user;

namespace {

class quiet_device final : public virtio::device {
public:
  virtio::device_type type() const noexcept override { return virtio::device_type::rng; }
  std::string_view name() const noexcept override { return "quiet"; }
  std::span<const std::uint16_t> queue_sizes() const noexcept override {
    static constexpr std::array<std::uint16_t, 2> sizes{64, 64};
    return sizes;
  }
  std::uint64_t features() const noexcept override { return 0; }
  void read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept override {
    virtio::copy_config({}, offset, into);
  }
  outcome<void> activate(virtio::activation with) override {
    queues_ = with.queues;
    return {};
  }
  outcome<virtio::progress> process(std::size_t index) override {
    virtio::chain chain;
    while (TRY(queues_[index]->pop(chain)))
      TRY(queues_[index]->put_used(chain, 0));
    return virtio::progress::idle;
  }
  void pause() noexcept override {}
  outcome<void> resume(std::shared_ptr<const memory::guest_memory>) override { return {}; }
  void reset() noexcept override { queues_.clear(); }

private:
  std::vector<virtio::queue*> queues_;
};

// As many descriptors as the payload's count field says: RAM for a table, an eventfd otherwise.
std::vector<unique_fd> descriptors_for(const message& it, int ram) {
  std::vector<unique_fd> fds;
  if (it.request == wire::request::set_mem_table && !it.payload.empty()) {
    const auto count = std::min<std::size_t>(static_cast<std::size_t>(it.payload[0]), 8);
    for (std::size_t i = 0; i < count; ++i)
      fds.emplace_back(::dup(ram));
  } else if (it.request >= wire::request::set_vring_kick &&
             it.request <= wire::request::set_vring_err) {
    fds.emplace_back(::eventfd(0, EFD_CLOEXEC));
  }
  return fds;
}

void converse(std::span<const std::byte> stream, devices::worker& loop, int ram) {
  backend it{std::make_unique<quiet_device>(), loop, {[] {}, [](failure) {}}};
  while (stream.size() >= sizeof(wire::header)) {
    const auto head = decode_header(stream.first(sizeof(wire::header)));
    stream = stream.subspan(sizeof(wire::header));
    if (!head || head->size > stream.size())
      return;
    message next;
    next.request = static_cast<wire::request>(head->request);
    next.need_reply = (head->flags & wire::flag_need_reply) != 0;
    next.payload.assign(stream.begin(), stream.begin() + head->size);
    next.fds = descriptors_for(next, ram);
    stream = stream.subspan(head->size);
    const auto reply = it.handle(std::move(next));
    if (reply && *reply && (*reply)->size() > sizeof(wire::header) + wire::payload_max)
      std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto loop = devices::worker::start("fuzz").value();
  static const testing::guest_ram ram{kib(64)};
  // On the worker, as the back-end's rule is.
  testing::must(loop->run(
      "converse",
      [=] {
        converse(std::as_bytes(std::span{data, size}), *loop, ram.fd());
      },
      milliseconds{10'000}));
  return 0;
}
