#pragma once

#include "actors/vcpu/memory/address_range.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

/// ACPI Machine Language, as far as our DSDT needs it: each function encodes one term, terms nest
/// as arguments. Lengths have room for 256 MiB, far more than the ACPI area. Source: ACPI 6.5,
/// chapters 20 (AML) and 6.4 (resources).
namespace troupe::acpi::aml {

using term = std::vector<std::byte>;
using terms = std::vector<term>;

/// One name of up to four of A-Z, 0-9 and _: "COM1". @pre is such a name; what we build from is
/// ours, never a guest's.
[[nodiscard]] term path(std::string_view name);

[[nodiscard]] term integer(std::uint64_t value);
[[nodiscard]] term text(std::string_view value);
/// A compressed id of three letters and four hexadecimal digits: "PNP0501".
[[nodiscard]] term eisa_id(std::string_view id);
/// At most 255 elements.
[[nodiscard]] term package(const terms& elements);

[[nodiscard]] term name(std::string_view name, const term& value);
[[nodiscard]] term scope(std::string_view name, const terms& body);
[[nodiscard]] term device(std::string_view name, const terms& body);

/// Resources, to be put into a resource_template.
[[nodiscard]] term memory_window(const memory::address_range& where);
[[nodiscard]] term io_ports(std::uint16_t first, std::uint8_t count);
/// Edge, active high: as KVM's lines are raised.
[[nodiscard]] term interrupt(std::uint32_t gsi, bool shared);
[[nodiscard]] term resource_template(const terms& resources);

} // namespace troupe::acpi::aml
