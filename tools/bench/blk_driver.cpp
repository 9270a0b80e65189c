#include "tools/bench/blk_driver.hpp"

#include "actors/devices/virtio/blk/device.hpp"
#include "actors/devices/virtio/blk/host_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>

namespace troupe::bench {
namespace {

using mmio::reg;

constexpr milliseconds patience{30'000};
/// A chain of each slot has header, data and status.
constexpr std::uint16_t chain_length = 3;
constexpr std::uint16_t ring_size = 128;
constexpr gpa descriptors_at = 0x10000;
constexpr gpa available_at = 0x14000;
constexpr gpa used_at = 0x15000;
/// Of each slot: header, status, and data on a page of its own.
constexpr gpa cells_at = 0x40000;
constexpr gpa cell_size = 0x2000;
constexpr gpa status_offset = 0x40;
constexpr gpa data_offset = 0x1000;

struct used_entry {
  std::uint32_t head = 0;
  std::uint32_t written = 0;
};

template <class T>
outcome<void> put(const memory::ram& ram, gpa at, const T& value) {
  return ram.memory->write(at, std::as_bytes(std::span{&value, 1}));
}

template <class T>
outcome<T> fetch(const memory::ram& ram, gpa at) {
  T value{};
  TRY(ram.memory->read(at, std::as_writable_bytes(std::span{&value, 1})));
  return value;
}

outcome<mmio::shared_event> make_event() {
  unique_fd fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!fd)
    return fail_errno("eventfd", errno);
  return std::make_shared<const unique_fd>(std::move(fd));
}

class event_line final : public bus::irq_line {
public:
  explicit event_line(mmio::shared_event event) : event_(std::move(event)) {}
  void raise() noexcept override { (void)::eventfd_write(event_->get(), 1); }

private:
  mmio::shared_event event_;
};

} // namespace

outcome<std::unique_ptr<blk_driver>> blk_driver::make(const std::string& path) {
  std::unique_ptr<blk_driver> out{new blk_driver};
  TRY(out->start(path));
  TRY(out->prepare_rings());
  TRY(out->negotiate());
  return out;
}

blk_driver::~blk_driver() {
  if (session_)
    (void)session_->stop(patience);
}

outcome<void> blk_driver::start(const std::string& path) {
  memory::ram_plan plan;
  plan.size = mib(2);
  plan.prealloc = true;
  ram_ = TRY(memory::allocate(plan));
  irq_ = TRY(make_event());
  unique_fd fd{::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)};
  if (!fd)
    return fail_errno("open " + path, errno);
  auto disk = TRY(blk::disk::make(TRY(blk::host_file::adopt(std::move(fd), false)), {}));
  loop_ = TRY(devices::worker::start("devices"));
  session_ = TRY(mmio::session::start(std::make_unique<blk::device>(std::move(disk)), ram_.memory,
                                      *loop_, *this, {}, {[] {}, [](const failure&) {}}));
  return {};
}

/// What never changes: the descriptors of all slots.
outcome<void> blk_driver::prepare_rings() {
  for (std::uint16_t slot = 0; slot < slots; ++slot) {
    const auto first = static_cast<std::uint16_t>(slot * chain_length);
    const auto cell = cells_at + cell_size * slot;
    const auto next = [&](int i) { return static_cast<std::uint16_t>(first + i); };
    const auto at = descriptors_at + sizeof(virtio::descriptor) * first;
    TRY(put(ram_, at,
            virtio::descriptor{cell, sizeof(blk::wire::header), virtio::descriptor_next, next(1)}));
    TRY(put(ram_, at + 2 * sizeof(virtio::descriptor),
            virtio::descriptor{cell + status_offset, 1, virtio::descriptor_write, 0}));
  }
  return {};
}

outcome<void> blk_driver::negotiate() {
  constexpr std::uint64_t features = virtio::feature_version_1 | blk::wire::feature_flush;
  constexpr std::uint32_t begun = mmio::status_acknowledge | mmio::status_driver;
  set(reg::status, 0);
  set(reg::status, mmio::status_acknowledge);
  set(reg::status, begun);
  set(reg::driver_features_select, 1);
  set(reg::driver_features, features >> 32);
  set(reg::driver_features_select, 0);
  set(reg::driver_features, features & 0xffffffff);
  set(reg::status, begun | mmio::status_features_ok);
  set(reg::queue_select, 0);
  set(reg::queue_size, ring_size);
  set_address(reg::queue_descriptors_low, descriptors_at);
  set_address(reg::queue_available_low, available_at);
  set_address(reg::queue_used_low, used_at);
  set(reg::queue_ready, 1);
  constexpr auto running = begun | mmio::status_features_ok | mmio::status_driver_ok;
  set(reg::status, running);
  if (get(reg::status) != running)
    return fail(errc::failed_precondition, "blk: status {:#x}", get(reg::status));
  return {};
}

outcome<void> blk_driver::offer(std::uint16_t slot, bool write, std::uint64_t block) {
  const auto cell = cells_at + cell_size * slot;
  const auto head = static_cast<std::uint16_t>(slot * chain_length);
  const auto sector = block * (blk_block / blk::wire::sector);
  using blk::wire::type;
  TRY(put(ram_, cell, blk::wire::header{write ? type::out : type::in, 0, sector}));
  const int flags = virtio::descriptor_next | (write ? 0 : virtio::descriptor_write);
  TRY(put(ram_, descriptors_at + sizeof(virtio::descriptor) * (head + 1U),
          virtio::descriptor{cell + data_offset, blk_block, static_cast<std::uint16_t>(flags),
                             static_cast<std::uint16_t>(head + 2)}));
  TRY(put(ram_, available_at + 4 + 2 * (offered_ % ring_size), head));
  return ram_.memory->store_u16(available_at + 2, ++offered_);
}

void blk_driver::kick() const noexcept {
  (void)::eventfd_write(bell_->get(), 1);
}

outcome<std::vector<std::uint16_t>> blk_driver::completed() {
  std::vector<std::uint16_t> out;
  TRY(take_used(out));
  while (out.empty()) {
    pollfd ready{irq_->get(), POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(patience.count())) == 0)
      return fail(errc::deadline_exceeded, "blk: no interrupt");
    eventfd_t count = 0;
    (void)::eventfd_read(irq_->get(), &count);
    set(reg::interrupt_acknowledge, get(reg::interrupt_status));
    TRY(take_used(out));
  }
  return out;
}

outcome<void> blk_driver::take_used(std::vector<std::uint16_t>& into) {
  const auto end = TRY(ram_.memory->load_u16(used_at + 2));
  for (; seen_ != end; ++seen_) {
    const auto it =
        TRY(fetch<used_entry>(ram_, used_at + 4 + sizeof(used_entry) * (seen_ % ring_size)));
    const auto slot = static_cast<std::uint16_t>(it.head / chain_length);
    const auto status =
        TRY(fetch<blk::wire::status>(ram_, cells_at + cell_size * slot + status_offset));
    if (status != blk::wire::status::ok)
      return fail(errc::host_io, "blk: a request was answered with status {}",
                  static_cast<unsigned>(status));
    into.push_back(slot);
  }
  return {};
}

outcome<std::unique_ptr<mmio::connection>> blk_driver::connect_doorbell(gpa, std::uint32_t,
                                                                        mmio::shared_event event) {
  bell_ = std::move(event);
  return std::make_unique<mmio::connection>();
}

outcome<std::unique_ptr<bus::irq_line>> blk_driver::interrupt(std::uint32_t) {
  return std::make_unique<event_line>(irq_);
}

void blk_driver::set(reg to, std::uint32_t value) {
  session_->registers()->write(static_cast<std::uint64_t>(to), std::as_bytes(std::span{&value, 1}));
}

void blk_driver::set_address(reg low, gpa at) {
  set(low, static_cast<std::uint32_t>(at));
  set(static_cast<reg>(static_cast<std::uint32_t>(low) + 4), static_cast<std::uint32_t>(at >> 32));
}

std::uint32_t blk_driver::get(reg from) {
  std::uint32_t value = 0;
  session_->registers()->read(static_cast<std::uint64_t>(from),
                              std::as_writable_bytes(std::span{&value, 1}));
  return value;
}

} // namespace troupe::bench
