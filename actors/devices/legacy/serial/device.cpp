#include "actors/devices/legacy/serial/device.hpp"

#include <utility>

namespace troupe::legacy {
namespace {

// Registers; the first two are the divisor while its latch is open.
enum offset : std::uint64_t {
  data = 0,
  interrupt_enable = 1,
  interrupt_identification = 2, // FIFO control when written.
  line_control = 3,
  modem_control = 4,
  line_status = 5,
  modem_status = 6,
  scratch = 7,
};

constexpr std::uint8_t enable_received = 0x01;
constexpr std::uint8_t enable_sent = 0x02;
constexpr std::uint8_t enable_line = 0x04;
constexpr std::uint8_t enable_modem = 0x08;
constexpr std::uint8_t enable_mask = 0x0f;

constexpr std::uint8_t cause_modem = 0x00;
constexpr std::uint8_t cause_none = 0x01;
constexpr std::uint8_t cause_sent = 0x02;
constexpr std::uint8_t cause_received = 0x04;
constexpr std::uint8_t cause_line = 0x06;
constexpr std::uint8_t fifo_works = 0xc0;

constexpr std::uint8_t fifo_enable = 0x01;
constexpr std::uint8_t fifo_clear_received = 0x02;

constexpr std::uint8_t line_divisor_latch = 0x80;

constexpr std::uint8_t modem_dtr = 0x01;
constexpr std::uint8_t modem_rts = 0x02;
constexpr std::uint8_t modem_out1 = 0x04;
constexpr std::uint8_t modem_out2 = 0x08;
constexpr std::uint8_t modem_loopback = 0x10;
constexpr std::uint8_t modem_mask = 0x1f;

constexpr std::uint8_t status_received = 0x01;
constexpr std::uint8_t status_overrun = 0x02;
constexpr std::uint8_t status_sent = 0x60; // Holding register and transmitter are empty.

constexpr std::uint8_t line_cts = 0x10;
constexpr std::uint8_t line_dsr = 0x20;
constexpr std::uint8_t line_ring = 0x40;
constexpr std::uint8_t line_carrier = 0x80;

bool has(std::uint8_t in, std::uint8_t bit) {
  return (in & bit) != 0;
}

} // namespace

void serial::read(std::uint64_t offset, std::span<std::byte> into) noexcept {
  auto room = false;
  {
    const std::lock_guard guard{mutex_};
    for (auto& it : into)
      it = std::byte{read_register(offset++)};
    update_line();
    room = refused_ && waiting_ == 0;
    refused_ = refused_ && !room;
  }
  if (room && wiring_.room)
    wiring_.room();
}

void serial::write(std::uint64_t offset, std::span<const std::byte> from) noexcept {
  const std::lock_guard guard{mutex_};
  for (const auto it : from)
    write_register(offset++, std::to_integer<std::uint8_t>(it));
  update_line();
}

std::size_t serial::input(std::string_view bytes) noexcept {
  const std::lock_guard guard{mutex_};
  std::size_t taken = 0;
  if (!has(modem_control_, modem_loopback))
    while (taken < bytes.size() && waiting_ < capacity())
      received_[(first_ + waiting_++) % received_.size()] =
          static_cast<std::uint8_t>(bytes[taken++]);
  refused_ = refused_ || taken < bytes.size();
  update_line();
  return taken;
}

std::size_t serial::capacity() const noexcept {
  return fifo_ ? received_.size() : 1;
}

std::uint8_t serial::read_register(std::uint64_t offset) noexcept {
  const auto latch = has(line_control_, line_divisor_latch);
  switch (offset) {
  case data:
    return latch ? static_cast<std::uint8_t>(divisor_) : take_received();
  case interrupt_enable:
    return latch ? static_cast<std::uint8_t>(divisor_ >> 8) : enabled_;
  case interrupt_identification:
    return take_identification();
  case line_control:
    return line_control_;
  case modem_control:
    return modem_control_;
  case line_status:
    return take_line_status();
  case modem_status:
    return static_cast<std::uint8_t>(modem_lines() | std::exchange(modem_deltas_, 0));
  default:
    return scratch_;
  }
}

void serial::write_register(std::uint64_t offset, std::uint8_t value) noexcept {
  const auto latch = has(line_control_, line_divisor_latch);
  switch (offset) {
  case data:
    if (latch)
      divisor_ = static_cast<std::uint16_t>((divisor_ & 0xff00) | value);
    else
      send(value);
    return;
  case interrupt_enable:
    if (latch)
      divisor_ = static_cast<std::uint16_t>((divisor_ & 0xff) | (value << 8));
    else
      enable(value);
    return;
  case interrupt_identification:
    return control_fifo(value);
  case line_control:
    line_control_ = value;
    return;
  case modem_control:
    return control_modem(value);
  case scratch:
    scratch_ = value;
    return;
  default:
    return; // The status registers are read-only.
  }
}

// The transmitter is always empty: who asks to be told of it is told.
void serial::enable(std::uint8_t value) noexcept {
  sent_ = sent_ || (has(value, enable_sent) && !has(enabled_, enable_sent));
  enabled_ = value & enable_mask;
}

std::uint8_t serial::take_received() noexcept {
  if (waiting_ == 0)
    return 0;
  --waiting_;
  return received_[std::exchange(first_, (first_ + 1) % received_.size())];
}

std::uint8_t serial::take_identification() noexcept {
  const auto it = cause();
  if (it == cause_sent)
    sent_ = false;
  return static_cast<std::uint8_t>(it | (fifo_ ? fifo_works : 0));
}

std::uint8_t serial::take_line_status() noexcept {
  auto it = status_sent;
  if (waiting_ > 0)
    it |= status_received;
  if (std::exchange(overrun_, false))
    it |= status_overrun;
  return it;
}

// In loopback the outputs are wired to the inputs; else a terminal is there and ready.
std::uint8_t serial::modem_lines() const noexcept {
  if (!has(modem_control_, modem_loopback))
    return line_carrier | line_dsr | line_cts;
  const auto wired = [this](std::uint8_t from, std::uint8_t to) {
    return has(modem_control_, from) ? to : std::uint8_t{0};
  };
  return static_cast<std::uint8_t>(wired(modem_dtr, line_dsr) | wired(modem_rts, line_cts) |
                                   wired(modem_out1, line_ring) | wired(modem_out2, line_carrier));
}

void serial::send(std::uint8_t value) noexcept {
  sent_ = true;
  if (has(modem_control_, modem_loopback)) {
    overrun_ = overrun_ || waiting_ >= capacity();
    if (waiting_ < capacity())
      received_[(first_ + waiting_++) % received_.size()] = value;
    return;
  }
  if (!wiring_.output)
    return;
  const auto byte = static_cast<char>(value);
  try {
    wiring_.output({&byte, 1});
  } catch (...) { // The guest must not stop for want of a listener.
  }
}

void serial::control_fifo(std::uint8_t value) noexcept {
  const auto enable = has(value, fifo_enable);
  if (enable != fifo_ || has(value, fifo_clear_received))
    waiting_ = 0;
  fifo_ = enable;
}

void serial::control_modem(std::uint8_t value) noexcept {
  const auto before = modem_lines();
  modem_control_ = value & modem_mask;
  const auto changed = static_cast<std::uint8_t>(before ^ modem_lines());
  // Deltas stand four bits below their lines; of the ring line only the end counts.
  const auto rang = has(changed, line_ring) && has(before, line_ring);
  modem_deltas_ |= static_cast<std::uint8_t>((changed & ~(rang ? 0 : line_ring)) >> 4);
}

std::uint8_t serial::cause() const noexcept {
  if (overrun_ && has(enabled_, enable_line))
    return cause_line;
  if (waiting_ > 0 && has(enabled_, enable_received))
    return cause_received;
  if (sent_ && has(enabled_, enable_sent))
    return cause_sent;
  if (modem_deltas_ != 0 && has(enabled_, enable_modem))
    return cause_modem;
  return cause_none;
}

// The chip's pin goes up while there is a cause; only its rising edge is seen.
void serial::update_line() noexcept {
  const auto now = cause() != cause_none;
  const auto before = std::exchange(asserted_, now);
  if (now && !before && wiring_.irq)
    wiring_.irq->raise();
}

} // namespace troupe::legacy
