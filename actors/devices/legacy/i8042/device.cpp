#include "actors/devices/legacy/i8042/device.hpp"

#include <utility>

namespace troupe::legacy {
namespace {

constexpr std::uint64_t data_port = 0;
constexpr std::uint64_t speaker_port = 1;
constexpr std::uint64_t command_port = 4;

constexpr std::uint8_t status_output_full = 0x01;
constexpr std::uint8_t status_system = 0x04;
constexpr std::uint8_t status_command = 0x08;
constexpr std::uint8_t status_unlocked = 0x10;

// The timer's output as seen at the speaker's port. Linux waits for it to go up when it measures
// the clock, and there may be no timer behind it.
constexpr std::uint8_t speaker_timer_output = 0x20;

enum known_command : std::uint8_t {
  read_configuration = 0x20,
  write_configuration = 0x60,
  test_second_port = 0xa9,
  test_controller = 0xaa,
  test_first_port = 0xab,
  read_output_port = 0xd0,
  write_output_port = 0xd1,
  pulse_reset = 0xfe,
};

constexpr std::uint8_t controller_works = 0x55;
constexpr std::uint8_t port_works = 0x00;
// The reset line is inverted; the A20 gate is always open.
constexpr std::uint8_t output_no_reset = 0x01;
constexpr std::uint8_t output_a20 = 0x02;

} // namespace

void i8042::read(std::uint64_t offset, std::span<std::byte> into) noexcept {
  const std::lock_guard guard{mutex_};
  if (offset == speaker_port)
    return bus::store(speaker_timer_output, into);
  if (offset == data_port)
    return bus::store(std::exchange(output_, std::nullopt).value_or(0), into);
  if (offset == command_port)
    bus::store(std::uint64_t{status_unlocked} | status_system | (output_ ? status_output_full : 0) |
                   (last_was_command_ ? status_command : 0),
               into);
}

void i8042::write(std::uint64_t offset, std::span<const std::byte> from) noexcept {
  const auto value = std::to_integer<std::uint8_t>(from[0]);
  auto reset = false;
  {
    const std::lock_guard guard{mutex_};
    if (offset == command_port)
      reset = command(value);
    else if (offset == data_port)
      reset = data(value);
  }
  if (reset && reset_)
    reset_();
}

// True for a reset of the machine.
bool i8042::command(std::uint8_t value) noexcept {
  last_was_command_ = true;
  expects_data_ = 0;
  switch (value) {
  case read_configuration:
    output_ = configuration_;
    return false;
  case test_controller:
    output_ = controller_works;
    return false;
  case test_first_port:
  case test_second_port:
    output_ = port_works;
    return false;
  case read_output_port:
    output_ = output_no_reset | output_a20;
    return false;
  case write_configuration:
  case write_output_port:
    expects_data_ = value;
    return false;
  default:
    return value == pulse_reset;
  }
}

// Bytes for the keyboard go nowhere.
bool i8042::data(std::uint8_t value) noexcept {
  last_was_command_ = false;
  const auto of = std::exchange(expects_data_, 0);
  if (of == write_configuration)
    configuration_ = value;
  return of == write_output_port && (value & output_no_reset) == 0;
}

} // namespace troupe::legacy
