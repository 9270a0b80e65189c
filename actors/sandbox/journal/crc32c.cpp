#include "actors/sandbox/journal/crc32c.hpp"

#include <array>

namespace troupe::journal {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  constexpr std::uint32_t polynomial = 0x82f63b78;
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit)
      rest = (rest >> 1) ^ ((rest & 1) != 0 ? polynomial : 0);
    table[byte] = rest;
  }
  return table;
}

constexpr auto table = make_table();

} // namespace

std::uint32_t crc32c(std::string_view bytes) noexcept {
  std::uint32_t rest = 0xffffffff;
  for (const char c : bytes)
    rest = (rest >> 8) ^ table[(rest ^ static_cast<unsigned char>(c)) & 0xff];
  return ~rest;
}

} // namespace troupe::journal
