#include "actors/vcpu/acpi/aml.hpp"

#include "actors/vcpu/memory/byte_writer.hpp"

#include <charconv>

namespace troupe::acpi::aml {
namespace {

using memory::byte_writer;

constexpr std::uint8_t op_zero = 0x00;
constexpr std::uint8_t op_one = 0x01;
constexpr std::uint8_t op_name = 0x08;
constexpr std::uint8_t prefix_byte = 0x0a;
constexpr std::uint8_t prefix_word = 0x0b;
constexpr std::uint8_t prefix_dword = 0x0c;
constexpr std::uint8_t prefix_string = 0x0d;
constexpr std::uint8_t prefix_qword = 0x0e;
constexpr std::uint8_t op_scope = 0x10;
constexpr std::uint8_t op_buffer = 0x11;
constexpr std::uint8_t op_package = 0x12;
constexpr std::uint8_t prefix_extended = 0x5b;
constexpr std::uint8_t op_device = 0x82;

constexpr std::size_t name_length = 4;

// PkgLength counts its own bytes; six bits in one byte, else four bits and up to three bytes more.
void put_length(byte_writer& out, std::size_t content) {
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

byte_writer joined(const terms& parts) {
  byte_writer out;
  for (const auto& it : parts)
    out.append(it);
  return out;
}

void put_sized(byte_writer& out, const byte_writer& content) {
  put_length(out, content.size());
  out.append(content.bytes());
}

} // namespace

term path(std::string_view name) {
  byte_writer out;
  out.text(name.substr(0, name_length));
  for (auto length = name.size(); length < name_length; ++length)
    out.text("_");
  return out.take();
}

term integer(std::uint64_t value) {
  byte_writer out;
  if (value <= 1)
    out.u8(value == 0 ? op_zero : op_one);
  else if (value <= 0xff)
    out.u8(prefix_byte).u8(static_cast<std::uint8_t>(value));
  else if (value <= 0xffff)
    out.u8(prefix_word).u16(static_cast<std::uint16_t>(value));
  else if (value <= 0xffffffff)
    out.u8(prefix_dword).u32(static_cast<std::uint32_t>(value));
  else
    out.u8(prefix_qword).u64(value);
  return out.take();
}

term text(std::string_view value) {
  return byte_writer{}.u8(prefix_string).text(value).u8(0).take();
}

term eisa_id(std::string_view id) {
  // Three letters of five bits and the number, most significant byte first.
  std::uint32_t value = 0;
  for (const char letter : id.substr(0, 3))
    value = value << 5 | (static_cast<std::uint32_t>(letter - '@') & 0x1f);
  std::uint32_t number = 0;
  std::from_chars(id.data() + 3, id.data() + id.size(), number, 16);
  return byte_writer{}.u8(prefix_dword).u32(__builtin_bswap32(value << 16 | number)).take();
}

term package(const terms& elements) {
  byte_writer content;
  content.u8(static_cast<std::uint8_t>(elements.size())).append(joined(elements).bytes());
  byte_writer out;
  put_sized(out.u8(op_package), content);
  return out.take();
}

term name(std::string_view name, const term& value) {
  return byte_writer{}.u8(op_name).append(path(name)).append(value).take();
}

term scope(std::string_view name, const terms& body) {
  byte_writer content;
  content.append(path(name)).append(joined(body).bytes());
  byte_writer out;
  put_sized(out.u8(op_scope), content);
  return out.take();
}

term device(std::string_view name, const terms& body) {
  byte_writer content;
  content.append(path(name)).append(joined(body).bytes());
  byte_writer out;
  put_sized(out.u8(prefix_extended).u8(op_device), content);
  return out.take();
}

term memory_window(const memory::address_range& where) {
  constexpr std::uint8_t fixed_32 = 0x86;
  constexpr std::uint8_t writable = 1;
  return byte_writer{}
      .u8(fixed_32)
      .u16(9)
      .u8(writable)
      .u32(static_cast<std::uint32_t>(where.start))
      .u32(static_cast<std::uint32_t>(where.size))
      .take();
}

term io_ports(std::uint16_t first, std::uint8_t count) {
  constexpr std::uint8_t ports = 0x47;
  constexpr std::uint8_t decodes_16_bits = 1;
  return byte_writer{}.u8(ports).u8(decodes_16_bits).u16(first).u16(first).u8(1).u8(count).take();
}

term interrupt(std::uint32_t gsi, bool shared) {
  constexpr std::uint8_t extended_interrupt = 0x89;
  constexpr std::uint8_t consumer = 1 << 0;
  constexpr std::uint8_t edge = 1 << 1;
  constexpr std::uint8_t shared_line = 1 << 3;
  const auto flags = static_cast<std::uint8_t>(consumer | edge | (shared ? shared_line : 0));
  return byte_writer{}.u8(extended_interrupt).u16(6).u8(flags).u8(1).u32(gsi).take();
}

term resource_template(const terms& resources) {
  constexpr std::uint16_t end_without_checksum = 0x0079;
  auto list = joined(resources);
  list.u16(end_without_checksum);
  byte_writer content;
  content.append(integer(list.size())).append(list.bytes());
  byte_writer out;
  put_sized(out.u8(op_buffer), content);
  return out.take();
}

} // namespace troupe::acpi::aml
