#include "actors/devices/legacy/rtc/device.hpp"

#include <optional>

namespace troupe::legacy {
namespace {

constexpr std::uint64_t index_port = 0;
constexpr std::uint8_t index_mask = 0x7f; // The top bit gates the NMI.

enum index : std::uint8_t {
  second = 0x00,
  minute = 0x02,
  hour = 0x04,
  day_of_week = 0x06,
  day = 0x07,
  month = 0x08,
  year = 0x09,
  status_a = 0x0a,
  status_b = 0x0b,
  status_c = 0x0c,
  status_d = 0x0d,
  century = 0x32,
};

// The usual rate of 32.768 kHz; bit 7, an update in progress, stays clear.
constexpr std::uint8_t divider = 0x26;
constexpr std::uint8_t mode_24_hours = 0x02;
constexpr std::uint8_t mode_binary = 0x04;
constexpr std::uint8_t memory_valid = 0x80;

// What the time register `which` shows; nothing when it is not one.
std::optional<unsigned> time_of(std::uint8_t which, wall_time now) {
  using namespace std::chrono;
  const auto today = floor<days>(now);
  const year_month_day date{today};
  const hh_mm_ss clock{floor<seconds>(now - today)};
  const auto years = static_cast<unsigned>(static_cast<int>(date.year()));
  switch (which) {
  case second:
    return static_cast<unsigned>(clock.seconds().count());
  case minute:
    return static_cast<unsigned>(clock.minutes().count());
  case hour:
    return static_cast<unsigned>(clock.hours().count());
  case day_of_week:
    return weekday{today}.c_encoding() + 1;
  case day:
    return static_cast<unsigned>(date.day());
  case month:
    return static_cast<unsigned>(date.month());
  case year:
    return years % 100;
  case century:
    return years / 100;
  default:
    return std::nullopt;
  }
}

std::uint8_t packed(unsigned value, bool binary) {
  return static_cast<std::uint8_t>(binary ? value : value / 10 * 16 + value % 10);
}

} // namespace

std::uint8_t rtc::value_of(std::uint8_t index) const noexcept {
  switch (index) {
  case status_a:
    return divider;
  case status_b:
    return static_cast<std::uint8_t>(mode_24_hours | (binary_ ? mode_binary : 0));
  case status_c:
    return 0;
  case status_d:
    return memory_valid;
  default:
    if (const auto shown = time_of(index, now_()))
      return packed(*shown, binary_);
    return memory_[index];
  }
}

void rtc::read(std::uint64_t offset, std::span<std::byte> into) noexcept {
  const std::lock_guard guard{mutex_};
  bus::store(offset == index_port ? index_ : value_of(index_), into);
}

void rtc::write(std::uint64_t offset, std::span<const std::byte> from) noexcept {
  const auto value = std::to_integer<std::uint8_t>(from[0]);
  const std::lock_guard guard{mutex_};
  if (offset == index_port)
    index_ = value & index_mask;
  else if (index_ == status_b)
    binary_ = (value & mode_binary) != 0;
  else
    memory_[index_] = value; // Where the clock has its bytes nobody reads it back.
}

} // namespace troupe::legacy
