#include "actors/sharefs/fuse/buffers_raw.hpp"

#include "actors/sharefs/share_root.hpp"

#include <dirent.h>

#include <algorithm>
#include <climits>

namespace troupe::fuse {

scatter::scatter(std::span<const iovec> pieces) : pieces_(pieces.begin(), pieces.end()) {
  for (const auto& piece : pieces_)
    size_ += piece.iov_len;
}

scatter scatter::part(std::size_t offset, std::size_t length) const {
  scatter found;
  for (const auto& piece : pieces_) {
    if (length == 0 || found.pieces_.size() == IOV_MAX)
      break;
    if (offset >= piece.iov_len) {
      offset -= piece.iov_len;
      continue;
    }
    const auto taken = std::min(piece.iov_len - offset, length);
    found.pieces_.push_back({static_cast<std::byte*>(piece.iov_base) + offset, taken});
    found.size_ += taken;
    length -= taken;
    offset = 0;
  }
  return found;
}

std::size_t scatter::copy_to(std::span<std::byte> target) const noexcept {
  std::size_t done = 0;
  for (const auto& piece : pieces_) {
    const auto length = std::min(piece.iov_len, target.size() - done);
    if (length > 0)
      std::memcpy(target.data() + done, piece.iov_base, length);
    done += length;
  }
  return done;
}

std::size_t scatter::copy_from(std::span<const std::byte> source) const noexcept {
  std::size_t done = 0;
  for (const auto& piece : pieces_) {
    const auto length = std::min(piece.iov_len, source.size() - done);
    if (length > 0)
      std::memcpy(piece.iov_base, source.data() + done, length);
    done += length;
  }
  return done;
}

answer<std::string_view> arguments::text() noexcept {
  const auto end = std::find(rest_.begin(), rest_.end(), std::byte{0});
  if (end == rest_.end())
    return refuse(EINVAL);
  const auto length = static_cast<std::size_t>(end - rest_.begin());
  const std::string_view found{reinterpret_cast<const char*>(rest_.data()), length};
  rest_ = rest_.subspan(length + 1);
  return found;
}

answer<std::string_view> arguments::name() noexcept {
  const auto found = TRY(text());
  if (found.size() > sharefs::max_name_length)
    return refuse(ENAMETOOLONG);
  if (!sharefs::is_component(found))
    return refuse(EINVAL);
  return found;
}

answer<std::span<const std::byte>> arguments::bytes(std::size_t length) noexcept {
  if (rest_.size() < length)
    return refuse(EINVAL);
  const auto found = rest_.first(length);
  rest_ = rest_.subspan(length);
  return found;
}

answer<void> reply_room::put(std::span<const std::byte> bytes) {
  if (bytes.size() > left())
    return refuse(EINVAL);
  used_ += room_.part(used_, bytes.size()).copy_from(bytes);
  return {};
}

host_dirent first_dirent(std::span<const std::byte> bytes) noexcept {
  constexpr auto name_at = offsetof(dirent64, d_name);
  if (bytes.size() < name_at)
    return {};
  dirent64 head{};
  std::memcpy(&head, bytes.data(), name_at);
  if (head.d_reclen <= name_at || head.d_reclen > bytes.size())
    return {};
  const auto* text = reinterpret_cast<const char*>(bytes.data()) + name_at;
  const auto length = ::strnlen(text, head.d_reclen - name_at);
  return {head.d_ino, head.d_off, head.d_type, {text, length}, head.d_reclen};
}

} // namespace troupe::fuse
