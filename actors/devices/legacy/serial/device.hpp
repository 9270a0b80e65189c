#pragma once

#include "actors/devices/bus/irq_line.hpp"
#include "actors/devices/bus/target.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>

namespace troupe::legacy {

/// Where the first serial port of a PC is: eight I/O ports, and its interrupt.
inline constexpr std::uint64_t com1_port = 0x3f8;
inline constexpr std::uint64_t serial_ports = 8;
inline constexpr std::uint32_t com1_irq = 4;

/// What a serial port is wired to.
struct serial_wiring {
  /// Null: the guest polls.
  std::unique_ptr<bus::irq_line> irq;
  /// Takes what the guest sends, on the vCPU thread that sends it; must not wait. What it throws is
  /// dropped. May be empty.
  std::function<void(std::string_view)> output;
  /// Called on a vCPU thread when input that was refused has room again. May be empty.
  std::function<void()> room;
};

/// A 16550A UART (National Semiconductor PC16550D data sheet) whose line has no speed: what is sent
/// is gone at once, so the guest never waits for it.
class serial final : public bus::target {
public:
  explicit serial(serial_wiring wiring) : wiring_(std::move(wiring)) {}

  void read(std::uint64_t offset, std::span<std::byte> into) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> from) noexcept override;

  /// Bytes for the guest. Takes as many as the receive buffer holds and returns how many. Any
  /// thread.
  std::size_t input(std::string_view bytes) noexcept;

private:
  [[nodiscard]] std::uint8_t read_register(std::uint64_t offset) noexcept;
  void write_register(std::uint64_t offset, std::uint8_t value) noexcept;
  [[nodiscard]] std::uint8_t take_received() noexcept;
  [[nodiscard]] std::uint8_t take_identification() noexcept;
  [[nodiscard]] std::uint8_t take_line_status() noexcept;
  [[nodiscard]] std::uint8_t modem_lines() const noexcept;
  void enable(std::uint8_t value) noexcept;
  void send(std::uint8_t value) noexcept;
  void control_fifo(std::uint8_t value) noexcept;
  void control_modem(std::uint8_t value) noexcept;
  [[nodiscard]] std::uint8_t cause() const noexcept;
  void update_line() noexcept;
  [[nodiscard]] std::size_t capacity() const noexcept;

  serial_wiring wiring_;
  std::mutex mutex_; // Guards all below.
  std::uint8_t enabled_ = 0;
  std::uint8_t line_control_ = 0;
  std::uint8_t modem_control_ = 0;
  std::uint8_t modem_deltas_ = 0;
  std::uint8_t scratch_ = 0;
  std::uint16_t divisor_ = 1;
  bool fifo_ = false;
  bool sent_ = false;    // The transmitter became empty, and nobody was told yet.
  bool overrun_ = false; // A received byte had no room.
  bool refused_ = false; // Input waits for room.
  bool asserted_ = false;
  std::array<std::uint8_t, 16> received_{};
  std::size_t first_ = 0;
  std::size_t waiting_ = 0;
};

} // namespace troupe::legacy
