#include "actors/sharefs/fuse/operation.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

namespace troupe::fuse {
namespace {

/// One line of a listing, wherever it comes from.
struct listed {
  std::uint64_t inode = 0;
  std::uint64_t next = 0;
  std::uint32_t type = 0;
  std::string_view name;
};

/// The reply to READDIR or READDIRPLUS as it grows.
class listing {
public:
  listing(std::size_t room, bool plus) : room_(std::min(room, max_listing)), plus_(plus) {}

  [[nodiscard]] bool fits(std::string_view name) const noexcept {
    return bytes_.size() + length(name) <= room_;
  }
  void add(const listed& line, const fuse_entry_out& entry) {
    const auto end = bytes_.size() + length(line.name);
    if (plus_)
      append(bytes_of(entry));
    fuse_dirent head{};
    head.ino = line.inode;
    head.off = line.next;
    head.namelen = static_cast<std::uint32_t>(line.name.size());
    head.type = line.type;
    append(bytes_of(head).first(FUSE_NAME_OFFSET));
    append(text_bytes(line.name));
    bytes_.resize(end);
  }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  [[nodiscard]] bool plus() const noexcept { return plus_; }
  [[nodiscard]] std::size_t room() const noexcept { return room_; }
  [[nodiscard]] const std::vector<std::byte>& bytes() const noexcept { return bytes_; }

private:
  [[nodiscard]] std::size_t length(std::string_view name) const noexcept {
    const auto head = FUSE_NAME_OFFSET + (plus_ ? sizeof(fuse_entry_out) : 0);
    return FUSE_REC_ALIGN(head + name.size());
  }
  void append(std::span<const std::byte> more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
  }

  std::vector<std::byte> bytes_;
  std::size_t room_;
  bool plus_;
};

bool is_dots(std::string_view name) noexcept {
  return name == "." || name == "..";
}

/// What READDIRPLUS tells about an entry. Node number 0 says "ask yourself": for the dots, for what
/// vanished meanwhile, and over the limit of nodes, where a listing must still go on.
fuse_entry_out entry_for(operation& op, const located& directory, const listed& line) {
  fuse_entry_out nothing{};
  nothing.attr.ino = line.inode;
  nothing.attr.mode = DTTOIF(line.type);
  if (is_dots(line.name))
    return nothing;
  const std::string name{line.name};
  const auto status = status_at(directory.fd(), name.c_str());
  if (!status)
    return nothing;
  return enter(op, directory, name, *status).value_or(nothing);
}

/// Reads on in the host's directory so that `ahead` holds at least one entry, or none at the end.
answer<void> read_ahead(open_handle& open, std::int64_t offset, std::size_t length) {
  if (open.position != offset) {
    open.ahead.clear();
    if (::lseek(open.file->get(), offset, SEEK_SET) < 0)
      return refuse_errno();
    open.position = offset;
  }
  if (!open.ahead.empty())
    return {};
  open.ahead.resize(length);
  const auto got = ::syscall(SYS_getdents64, open.file->get(), open.ahead.data(), length);
  open.ahead.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  if (got < 0)
    return refuse_errno();
  return {};
}

/// Moves entries from `ahead` to the listing until one of them ends.
answer<void> tell(operation& op, const located& directory, open_handle& open, listing& list) {
  std::span<const std::byte> rest{open.ahead};
  while (!rest.empty()) {
    const auto next = first_dirent(rest);
    if (next.length == 0)
      return refuse(EIO);
    if (!list.fits(next.name))
      break;
    const listed line{next.inode, static_cast<std::uint64_t>(next.next), next.type, next.name};
    list.add(line, list.plus() ? entry_for(op, directory, line) : fuse_entry_out{});
    open.position = next.next;
    rest = rest.subspan(next.length);
  }
  if (list.empty() && !rest.empty())
    return refuse(EINVAL);
  open.ahead.erase(open.ahead.begin(), open.ahead.end() - static_cast<std::ptrdiff_t>(rest.size()));
  return {};
}

/// The smallest buffer that surely holds one entry of getdents64.
constexpr std::size_t least_read = sizeof(dirent64);
/// A READDIRPLUS entry is about four times as long as the host's, so that much less is read at
/// once.
constexpr std::size_t plus_factor = 4;

answer<void> list_host(operation& op, const fuse_read_in& in, open_handle& open, bool plus) {
  listing list{std::min<std::size_t>(in.size, op.reply.left()), plus};
  const located directory{open.node, open.file, S_IFDIR,
                          TRY(status_at(open.file->get(), "")).stx_mnt_id};
  const auto length = std::max(least_read, list.room() / (plus ? plus_factor : 1));
  TRY(read_ahead(open, static_cast<std::int64_t>(in.offset), length));
  TRY(tell(op, directory, open, list));
  return op.reply.put(list.bytes());
}

answer<void> list_virtual(operation& op, const fuse_read_in& in, open_handle& open, bool plus) {
  listing list{std::min<std::size_t>(in.size, op.reply.left()), plus};
  for (auto at = in.offset; at < open.names.size(); ++at) {
    const auto& [name, what] = open.names[at];
    if (!list.fits(name))
      break;
    // A share's kind and number are learnt by LOOKUP: here it may be gone again.
    const auto inode = what.tree ? at + 2 : virtual_node(what.directory);
    const std::uint32_t type = what.tree ? DT_UNKNOWN : DT_DIR;
    list.add({inode, at + 1, type, name}, {});
  }
  if (list.empty() && in.offset < open.names.size())
    return refuse(EINVAL);
  return op.reply.put(list.bytes());
}

answer<void> read_directory(operation& op, bool plus) {
  const auto in = TRY(op.args.take<fuse_read_in>());
  const auto open = TRY(op.where.handle(in.fh));
  if (!open->directory)
    return refuse(ENOTDIR);
  const std::scoped_lock one_reader{open->busy};
  return open->file ? list_host(op, in, *open, plus) : list_virtual(op, in, *open, plus);
}

} // namespace

answer<void> opendir(operation& op) {
  auto open = std::make_shared<open_handle>();
  open->node = op.header.nodeid;
  open->directory = true;
  if (is_virtual(op.header.nodeid)) {
    auto names = op.where.names().list(directory_of(op.header.nodeid));
    if (!names)
      return refuse(ESTALE);
    open->names = std::move(*names);
  } else {
    const auto directory = TRY(op.where.resolve(op.header.nodeid));
    if (!S_ISDIR(directory.type))
      return refuse(ENOTDIR);
    unique_fd opened{::open(proc_path{directory.fd()}.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!opened)
      return refuse_errno();
    open->file = std::make_shared<held_fd>(directory.path->tree, std::move(opened));
  }
  fuse_open_out out{};
  out.fh = TRY(op.where.open(std::move(open)));
  return op.reply.put(bytes_of(out));
}

answer<void> readdir(operation& op) {
  return read_directory(op, false);
}

answer<void> readdirplus(operation& op) {
  return read_directory(op, true);
}

} // namespace troupe::fuse
