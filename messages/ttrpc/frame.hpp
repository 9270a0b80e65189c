#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

/// ttRPC frames: a ten-byte header, big-endian, and a body. `docs/wire/ttrpc.md` has the grammar.
namespace troupe::ttrpc {

inline constexpr std::size_t header_size = 10;

/// Largest body either side may send. Without it one header makes the reader keep up to 4 GiB.
inline constexpr std::uint32_t max_body = 4U << 20;

enum class frame_type : std::uint8_t { request = 1, response = 2, data = 3 };

/// Bits of frame_header::flags; only streaming calls use them.
inline constexpr std::uint8_t flag_remote_closed = 0x01;
inline constexpr std::uint8_t flag_remote_open = 0x02;
inline constexpr std::uint8_t flag_no_data = 0x04;

struct frame_header {
  /// Bytes of body that follow.
  std::uint32_t length = 0;
  /// Odd: opened by the side that connected. Even is reserved, 0 is never valid.
  std::uint32_t stream = 0;
  /// As received: unknown numbers occur, see frame_type.
  std::uint8_t type = 0;
  std::uint8_t flags = 0;

  [[nodiscard]] bool is(frame_type kind) const noexcept {
    return type == static_cast<std::uint8_t>(kind);
  }
  friend bool operator==(const frame_header&, const frame_header&) = default;
};

[[nodiscard]] std::array<char, header_size> encode(const frame_header& header) noexcept;
[[nodiscard]] frame_header decode_header(const std::array<char, header_size>& bytes) noexcept;

/// Header and body in one buffer; the length is taken from the body.
/// @pre body.size() <= max_body
[[nodiscard]] std::string encode(std::uint32_t stream, frame_type type, std::string_view body);

struct frame {
  frame_header header;
  std::string body;
};

/// A frame whose body is longer than max_body. Reported when its header is complete; the reader
/// then skips the body as it comes, so the stream stays in step.
struct oversize_frame {
  frame_header header;
};

/// Cuts a byte stream into frames, however the bytes are split. Keeps at most one partial frame.
class frame_reader {
public:
  using item = std::variant<frame, oversize_frame>;

  /// Takes from the front of `bytes` until a frame is whole. Nothing means that `bytes` is used up;
  /// call again with the next ones.
  [[nodiscard]] std::optional<item> next(std::string_view& bytes);

  /// Whether the stream is between two frames: an end here is clean.
  [[nodiscard]] bool at_boundary() const noexcept { return have_ == 0 && skip_ == 0; }

private:
  std::optional<item> finish_header();

  std::array<char, header_size> raw_{};
  std::size_t have_ = 0; ///< Bytes of raw_ that are filled; header_size while a body is read.
  frame now_;
  std::uint32_t skip_ = 0; ///< Bytes of an oversize body still to come.
};

} // namespace troupe::ttrpc
