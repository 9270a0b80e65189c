#pragma once

#include "actors/sandbox/journal/journal.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// Bytes of a journal: docs/wire/journal.md. Pure functions.
namespace troupe::journal {

/// First record of every journal.
struct owner_record {
  owner by;
  root_table roots;
  friend bool operator==(const owner_record&, const owner_record&) = default;
};
/// An effect about to be made, or what is known of it now.
struct effect_record {
  effect_id id{};
  effect what;
  friend bool operator==(const effect_record&, const effect_record&) = default;
};
/// That effect is gone.
struct settled_record {
  effect_id id{};
  friend bool operator==(const settled_record&, const settled_record&) = default;
};
using record = std::variant<owner_record, effect_record, settled_record>;

inline constexpr std::string_view frame_magic = "TRPJ";
inline constexpr std::uint16_t frame_version = 1;
inline constexpr std::size_t frame_header_size = 28;
/// Largest payload a frame may claim: an owner record with five roots of the longest path. A
/// damaged length field cannot make the reader skip more than this.
inline constexpr std::size_t max_payload = 32 * 1024;

[[nodiscard]] std::string encode(const record& what);
/// corrupt that names the field; also for bytes left over and for values that check() refuses.
[[nodiscard]] outcome<record> decode(std::string_view payload);

/// A payload in its frame, ready to append.
[[nodiscard]] std::string frame(const boot_id& boot, std::string_view payload);

struct scanned {
  boot_id boot{};
  record what;
};
struct scan_result {
  std::vector<scanned> records;
  /// Where the next append goes: the end, or the start of a torn tail.
  std::size_t end = 0;
  /// The writer died within its last write.
  bool torn = false;
  /// errc::corrupt with the offset of the first damage.
  std::optional<failure> damage;
};
/// Reads everything readable: after damage it goes on at the next sound frame.
[[nodiscard]] scan_result scan(std::string_view bytes);

} // namespace troupe::journal
