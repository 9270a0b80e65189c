#include "messages/ttrpc/frame.hpp"

#include <algorithm>
#include <utility>

namespace troupe::ttrpc {
namespace {

void put_u32(char* at, std::uint32_t value) noexcept {
  for (int i = 0; i < 4; ++i)
    at[i] = static_cast<char>(value >> (24 - 8 * i));
}

std::uint32_t get_u32(const char* at) noexcept {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i)
    value = value << 8 | static_cast<std::uint8_t>(at[i]);
  return value;
}

/// Removes up to `most` bytes from the front.
std::string_view take(std::string_view& bytes, std::size_t most) noexcept {
  const auto front = bytes.substr(0, most);
  bytes.remove_prefix(front.size());
  return front;
}

} // namespace

std::array<char, header_size> encode(const frame_header& header) noexcept {
  std::array<char, header_size> bytes{};
  put_u32(bytes.data(), header.length);
  put_u32(bytes.data() + 4, header.stream);
  bytes[8] = static_cast<char>(header.type);
  bytes[9] = static_cast<char>(header.flags);
  return bytes;
}

frame_header decode_header(const std::array<char, header_size>& bytes) noexcept {
  return {.length = get_u32(bytes.data()),
          .stream = get_u32(bytes.data() + 4),
          .type = static_cast<std::uint8_t>(bytes[8]),
          .flags = static_cast<std::uint8_t>(bytes[9])};
}

std::string encode(std::uint32_t stream, frame_type type, std::string_view body) {
  const auto header = encode(frame_header{.length = static_cast<std::uint32_t>(body.size()),
                                          .stream = stream,
                                          .type = static_cast<std::uint8_t>(type)});
  std::string bytes;
  bytes.reserve(header_size + body.size());
  bytes.append(header.data(), header.size());
  bytes.append(body);
  return bytes;
}

std::optional<frame_reader::item> frame_reader::next(std::string_view& bytes) {
  while (!bytes.empty()) {
    if (skip_ > 0) {
      skip_ -= static_cast<std::uint32_t>(take(bytes, skip_).size());
    } else if (have_ < header_size) {
      const auto part = take(bytes, header_size - have_);
      std::ranges::copy(part, raw_.begin() + static_cast<std::ptrdiff_t>(have_));
      have_ += part.size();
      if (auto done = finish_header())
        return done;
    } else {
      now_.body += take(bytes, now_.header.length - now_.body.size());
      if (now_.body.size() == now_.header.length) {
        have_ = 0;
        return std::exchange(now_, {});
      }
    }
  }
  return std::nullopt;
}

std::optional<frame_reader::item> frame_reader::finish_header() {
  if (have_ < header_size)
    return std::nullopt;
  now_.header = decode_header(raw_);
  if (now_.header.length > max_body) {
    have_ = 0;
    skip_ = now_.header.length;
    return oversize_frame{now_.header};
  }
  if (now_.header.length > 0)
    return std::nullopt;
  have_ = 0;
  return std::exchange(now_, {});
}

} // namespace troupe::ttrpc
