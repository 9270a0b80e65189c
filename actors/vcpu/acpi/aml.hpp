#pragma once

#include "actors/vcpu/memory/address_range.hpp"
#include "actors/vcpu/memory/byte_writer.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

/// ACPI Machine Language, as far as our DSDT needs it: each function encodes one term, terms nest
/// as arguments. All of it can be done while compiling, and nearly all of it is: see dsdt.cpp.
/// Lengths have room for 256 MiB, far more than the ACPI area. Source: ACPI 6.5, chapters 20 (AML)
/// and 6.4 (resources).
namespace troupe::acpi::aml {

using memory::byte_writer;
using term = std::vector<std::byte>;

namespace detail {

inline constexpr std::uint8_t op_zero = 0x00;
inline constexpr std::uint8_t op_one = 0x01;
inline constexpr std::uint8_t op_name = 0x08;
inline constexpr std::uint8_t prefix_byte = 0x0a;
inline constexpr std::uint8_t prefix_word = 0x0b;
inline constexpr std::uint8_t prefix_dword = 0x0c;
inline constexpr std::uint8_t prefix_string = 0x0d;
inline constexpr std::uint8_t prefix_qword = 0x0e;
inline constexpr std::uint8_t op_scope = 0x10;
inline constexpr std::uint8_t op_buffer = 0x11;
inline constexpr std::uint8_t op_package = 0x12;
inline constexpr std::uint8_t prefix_extended = 0x5b;
inline constexpr std::uint8_t op_device = 0x82;

inline constexpr std::size_t name_length = 4;

// PkgLength counts its own bytes; six bits in one byte, else four bits and up to three bytes more.
constexpr void put_length(byte_writer& out, std::size_t content) {
  if (content + 1 < 0x40) {
    out.u8(static_cast<std::uint8_t>(content + 1));
    return;
  }
  std::size_t more = 1;
  while (content + 1 + more >= std::size_t{1} << (4 + 8 * more))
    ++more;
  const auto all = content + 1 + more;
  out.u8(static_cast<std::uint8_t>(more << 6 | (all & 0xf)));
  for (std::size_t i = 0; i < more; ++i)
    out.u8(static_cast<std::uint8_t>(all >> (4 + 8 * i)));
}

constexpr term sized(byte_writer out, const byte_writer& content) {
  put_length(out, content.size());
  return out.append(content.bytes()).take();
}

constexpr byte_writer joined(const std::same_as<term> auto&... parts) {
  byte_writer out;
  (out.append(parts), ...);
  return out;
}

} // namespace detail

/// One name of up to four of A-Z, 0-9 and _: "COM1". @pre is such a name; what we build from is
/// ours, never a guest's.
[[nodiscard]] constexpr term path(std::string_view name) {
  byte_writer out;
  out.text(name.substr(0, detail::name_length));
  for (auto length = name.size(); length < detail::name_length; ++length)
    out.text("_");
  return out.take();
}

/// In the shortest form.
[[nodiscard]] constexpr term integer(std::uint64_t value) {
  byte_writer out;
  if (value <= 1)
    out.u8(value == 0 ? detail::op_zero : detail::op_one);
  else if (value <= 0xff)
    out.u8(detail::prefix_byte).u8(static_cast<std::uint8_t>(value));
  else if (value <= 0xffff)
    out.u8(detail::prefix_word).u16(static_cast<std::uint16_t>(value));
  else if (value <= 0xffffffff)
    out.u8(detail::prefix_dword).u32(static_cast<std::uint32_t>(value));
  else
    out.u8(detail::prefix_qword).u64(value);
  return out.take();
}

[[nodiscard]] constexpr term text(std::string_view value) {
  return byte_writer{}.u8(detail::prefix_string).text(value).u8(0).take();
}

/// A compressed id of three letters and four hexadecimal digits, in capitals: "PNP0501".
[[nodiscard]] constexpr term eisa_id(std::string_view id) {
  // Three letters of five bits and the number, most significant byte first.
  std::uint32_t value = 0;
  for (const char letter : id.substr(0, 3))
    value = value << 5 | (static_cast<std::uint32_t>(letter - '@') & 0x1f);
  for (const char digit : id.substr(3))
    value = value << 4 | static_cast<std::uint32_t>(digit <= '9' ? digit - '0' : digit - 'A' + 10);
  return byte_writer{}.u8(detail::prefix_dword).u32(__builtin_bswap32(value)).take();
}

/// At most 255 elements.
[[nodiscard]] constexpr term package(const std::same_as<term> auto&... elements) {
  byte_writer content;
  content.u8(sizeof...(elements)).append(detail::joined(elements...).bytes());
  return detail::sized(byte_writer{}.u8(detail::op_package), content);
}

[[nodiscard]] constexpr term name(std::string_view name, const term& value) {
  return byte_writer{}.u8(detail::op_name).append(path(name)).append(value).take();
}

[[nodiscard]] constexpr term scope(std::string_view name, const term& body) {
  return detail::sized(byte_writer{}.u8(detail::op_scope), detail::joined(path(name), body));
}

[[nodiscard]] constexpr term device(std::string_view name, const std::same_as<term> auto&... body) {
  const auto content = detail::joined(path(name), body...);
  return detail::sized(byte_writer{}.u8(detail::prefix_extended).u8(detail::op_device), content);
}

// -- resources, to be put into a resource_template ---

[[nodiscard]] constexpr term memory_window(std::uint32_t start, std::uint32_t size) {
  constexpr std::uint8_t fixed_32 = 0x86;
  constexpr std::uint8_t writable = 1;
  return byte_writer{}.u8(fixed_32).u16(9).u8(writable).u32(start).u32(size).take();
}

[[nodiscard]] constexpr term io_ports(std::uint16_t first, std::uint8_t count) {
  constexpr std::uint8_t ports = 0x47;
  constexpr std::uint8_t decodes_16_bits = 1;
  return byte_writer{}.u8(ports).u8(decodes_16_bits).u16(first).u16(first).u8(1).u8(count).take();
}

/// What of an interrupt says that other devices use the line, too.
inline constexpr std::uint8_t shared_line = 1 << 3;

/// Edge, active high: as KVM's lines are raised. `sharing`: 0 or shared_line.
[[nodiscard]] constexpr term interrupt(std::uint32_t gsi, std::uint8_t sharing = 0) {
  constexpr std::uint8_t extended_interrupt = 0x89;
  constexpr std::uint8_t consumer = 1 << 0;
  constexpr std::uint8_t edge = 1 << 1;
  const auto flags = static_cast<std::uint8_t>(consumer | edge | sharing);
  return byte_writer{}.u8(extended_interrupt).u16(6).u8(flags).u8(1).u32(gsi).take();
}

[[nodiscard]] constexpr term resource_template(const std::same_as<term> auto&... resources) {
  constexpr std::uint16_t end_without_checksum = 0x0079;
  auto list = detail::joined(resources...);
  list.u16(end_without_checksum);
  byte_writer content;
  content.append(integer(list.size())).append(list.bytes());
  return detail::sized(byte_writer{}.u8(detail::op_buffer), content);
}

} // namespace troupe::acpi::aml
