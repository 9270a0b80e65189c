#pragma once

#include "actors/sharefs/fuse/answer.hpp"

#include <sys/uio.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

/// The only place of the FUSE server that touches bytes by address.
namespace troupe::fuse {

/// A run of bytes that lies in pieces, usually in guest memory. Owns nothing; the pieces must
/// outlive it. The guest may change the bytes at any time: what must be checked is copied out
/// first.
class scatter {
public:
  scatter() = default;
  explicit scatter(std::span<const iovec> pieces);

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const std::vector<iovec>& pieces() const noexcept { return pieces_; }
  /// The bytes from `offset` on, at most `length` of them, in at most IOV_MAX pieces.
  [[nodiscard]] scatter part(std::size_t offset, std::size_t length) const;
  /// Copies the first bytes; returns how many there were.
  std::size_t copy_to(std::span<std::byte> target) const noexcept;
  /// Fills the first bytes; returns how many fitted.
  std::size_t copy_from(std::span<const std::byte> source) const noexcept;

private:
  std::vector<iovec> pieces_;
  std::size_t size_ = 0;
};

/// The bytes of a plain struct, as it lies in memory: FUSE speaks the host's byte order.
template <class T>
requires std::is_trivially_copyable_v<T>
[[nodiscard]] std::span<const std::byte> bytes_of(const T& value) noexcept {
  return std::as_bytes(std::span{&value, 1});
}

[[nodiscard]] inline std::span<const std::byte> text_bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span{text.data(), text.size()});
}

/// The arguments of one request, copied out of guest memory: read front to back, never past the
/// end.
class arguments {
public:
  arguments() = default;
  explicit arguments(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

  /// The next struct; EINVAL when the guest sent less.
  template <class T>
  [[nodiscard]] answer<T> take() noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    if (rest_.size() < sizeof(T))
      return refuse(EINVAL);
    T value;
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_ = rest_.subspan(sizeof value);
    return value;
  }

  /// The next NUL-terminated text without its NUL; EINVAL when there is no NUL.
  [[nodiscard]] answer<std::string_view> text() noexcept;
  /// The next text as one path component: EINVAL for what is none, ENAMETOOLONG over 255 bytes.
  [[nodiscard]] answer<std::string_view> name() noexcept;
  /// The next `length` bytes; EINVAL when the guest sent less.
  [[nodiscard]] answer<std::span<const std::byte>> bytes(std::size_t length) noexcept;

private:
  std::span<const std::byte> rest_;
};

/// Where the body of a reply is put, front to back.
class reply_room {
public:
  reply_room() = default;
  explicit reply_room(scatter room) : room_(std::move(room)) {}

  [[nodiscard]] std::size_t left() const noexcept { return room_.size() - used_; }
  [[nodiscard]] std::size_t used() const noexcept { return used_; }
  /// Appends; EINVAL when the guest gave less room than that.
  [[nodiscard]] answer<void> put(std::span<const std::byte> bytes);
  /// The unused room, at most `length` bytes, for a read straight into the guest's memory.
  [[nodiscard]] scatter open_end(std::size_t length) const { return room_.part(used_, length); }
  /// Counts `length` bytes that were written into open_end().
  void advance(std::size_t length) noexcept { used_ += length; }

private:
  scatter room_;
  std::size_t used_ = 0;
};

/// One entry as getdents64(2) lays it out. The name points into the bytes it was parsed from.
struct host_dirent {
  std::uint64_t inode = 0;
  std::int64_t next = 0; ///< Where reading goes on after this entry.
  unsigned char type = 0;
  std::string_view name;
  std::size_t length = 0; ///< Bytes this entry takes in the buffer; 0: malformed.
};

/// The entry at the front of what getdents64 returned.
[[nodiscard]] host_dirent first_dirent(std::span<const std::byte> bytes) noexcept;

} // namespace troupe::fuse
