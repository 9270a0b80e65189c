#pragma once

#include "actors/vcpu/memory/byte_writer.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace troupe::acpi {

/// The 36 bytes that all tables but the RSDP begin with. Source: ACPI 6.5, 5.2.6.
[[nodiscard]] memory::byte_writer begin_table(std::string_view signature, std::uint8_t revision);

/// Fills in length and checksum.
[[nodiscard]] std::vector<std::byte> finish_table(memory::byte_writer table);

} // namespace troupe::acpi
