#pragma once

#include <cstdint>
#include <string_view>

namespace troupe::journal {

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78, as in RFC 3720 §B.4) of `bytes`.
/// crc32c("123456789") == 0xe3069283.
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes) noexcept;

} // namespace troupe::journal
