#pragma once

#include "actors/sharefs/fuse/buffers_raw.hpp"
#include "actors/sharefs/fuse/server.hpp"

#include <linux/fuse.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::testing {

/// The bytes of a request behind its header, put together piece by piece.
class fuse_args {
public:
  template <class T>
  fuse_args& add(const T& plain) {
    const auto bytes = fuse::bytes_of(plain);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  fuse_args& raw(std::string_view text) {
    const auto bytes = fuse::text_bytes(text);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  fuse_args& text(std::string_view text) { return raw(text).raw(std::string_view{"\0", 1}); }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

private:
  std::vector<std::byte> bytes_;
};

struct fuse_reply {
  bool answered = false;
  int error = 0; ///< A positive errno, or 0.
  std::vector<std::byte> body;

  /// The body's first struct, zeros if it is shorter.
  template <class T>
  [[nodiscard]] T as() const {
    return fuse::arguments{body}.take<T>().value_or(T{});
  }
  [[nodiscard]] std::string text() const {
    std::string found(body.size(), '\0');
    for (std::size_t i = 0; i < body.size(); ++i)
      found[i] = static_cast<char>(body[i]);
    return found;
  }
};

/// Speaks FUSE to a session as a guest's kernel does, or as a lying one.
class fuse_client {
public:
  explicit fuse_client(fuse::session& where) : where_(where) {}

  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::size_t room = 128U << 10; ///< For replies.

  /// Sends any bytes as they are.
  fuse_reply send(std::vector<std::byte> request) {
    std::vector<std::byte> reply(room);
    const iovec in{request.data(), request.size()};
    const iovec out{reply.data(), reply.size()};
    const auto length = fuse::serve(where_, {&in, 1}, {&out, 1});
    reply.resize(length);
    fuse_reply found;
    found.answered = length > 0;
    const auto header = fuse::arguments{reply}.take<fuse_out_header>().value_or(fuse_out_header{});
    found.error = -header.error;
    if (length > sizeof header)
      found.body.assign(reply.begin() + sizeof header, reply.end());
    return found;
  }
  fuse_reply call(std::uint32_t opcode, std::uint64_t node, const fuse_args& args = {}) {
    fuse_in_header header{};
    header.len = static_cast<std::uint32_t>(sizeof header + args.bytes().size());
    header.opcode = opcode;
    header.unique = ++unique_;
    header.nodeid = node;
    header.uid = uid;
    header.gid = gid;
    auto bytes = fuse_args{}.add(header).bytes();
    bytes.insert(bytes.end(), args.bytes().begin(), args.bytes().end());
    return send(std::move(bytes));
  }

  fuse_reply init(std::uint32_t flags = ~0U, std::uint32_t minor = 38) {
    fuse_init_in in{};
    in.major = 7;
    in.minor = minor;
    in.max_readahead = 128U << 10;
    in.flags = flags;
    return call(FUSE_INIT, 0, fuse_args{}.add(in));
  }
  fuse_reply named(std::uint32_t opcode, std::uint64_t parent, std::string_view name) {
    return call(opcode, parent, fuse_args{}.text(name));
  }
  fuse_reply lookup(std::uint64_t parent, std::string_view name) {
    return named(FUSE_LOOKUP, parent, name);
  }
  /// The node at a path of plain names, 0 when some lookup failed.
  std::uint64_t walk(std::string_view path) {
    std::uint64_t at = fuse::root_node;
    while (at != 0 && !path.empty()) {
      const auto end = std::min(path.find('/'), path.size());
      at = lookup(at, path.substr(0, end)).as<fuse_entry_out>().nodeid;
      path.remove_prefix(std::min(end + 1, path.size()));
    }
    return at;
  }
  fuse_reply getattr(std::uint64_t node) {
    return call(FUSE_GETATTR, node, fuse_args{}.add(fuse_getattr_in{}));
  }
  fuse_reply open(std::uint64_t node, std::uint32_t flags, std::uint32_t opcode = FUSE_OPEN) {
    return call(opcode, node, fuse_args{}.add(fuse_open_in{flags, 0}));
  }
  fuse_reply create(std::uint64_t parent, std::string_view name, std::uint32_t flags,
                    std::uint32_t mode) {
    fuse_create_in in{};
    in.flags = flags;
    in.mode = mode;
    return call(FUSE_CREATE, parent, fuse_args{}.add(in).text(name));
  }
  fuse_reply read(std::uint64_t handle, std::uint64_t offset, std::uint32_t size,
                  std::uint32_t opcode = FUSE_READ) {
    fuse_read_in in{};
    in.fh = handle;
    in.offset = offset;
    in.size = size;
    return call(opcode, 0, fuse_args{}.add(in));
  }
  fuse_reply write(std::uint64_t handle, std::uint64_t offset, std::string_view data,
                   std::uint32_t write_flags = 0, std::uint32_t flags = 0) {
    fuse_write_in in{};
    in.fh = handle;
    in.offset = offset;
    in.size = static_cast<std::uint32_t>(data.size());
    in.write_flags = write_flags;
    in.flags = flags;
    return call(FUSE_WRITE, 0, fuse_args{}.add(in).raw(data));
  }
  fuse_reply release(std::uint64_t handle, std::uint32_t opcode = FUSE_RELEASE) {
    fuse_release_in in{};
    in.fh = handle;
    return call(opcode, 0, fuse_args{}.add(in));
  }
  fuse_reply mkdir(std::uint64_t parent, std::string_view name, std::uint32_t mode = 0755) {
    return call(FUSE_MKDIR, parent, fuse_args{}.add(fuse_mkdir_in{mode, 0}).text(name));
  }
  fuse_reply mknod(std::uint64_t parent, std::string_view name, std::uint32_t mode,
                   std::uint32_t device = 0) {
    fuse_mknod_in in{};
    in.mode = mode;
    in.rdev = device;
    return call(FUSE_MKNOD, parent, fuse_args{}.add(in).text(name));
  }
  fuse_reply symlink(std::uint64_t parent, std::string_view name, std::string_view target) {
    return call(FUSE_SYMLINK, parent, fuse_args{}.text(name).text(target));
  }
  fuse_reply link(std::uint64_t node, std::uint64_t parent, std::string_view name) {
    return call(FUSE_LINK, parent, fuse_args{}.add(fuse_link_in{node}).text(name));
  }
  fuse_reply rename(std::uint64_t from, std::string_view name, std::uint64_t to,
                    std::string_view new_name, std::uint32_t flags = 0) {
    return call(FUSE_RENAME2, from,
                fuse_args{}.add(fuse_rename2_in{to, flags, 0}).text(name).text(new_name));
  }
  fuse_reply setattr(std::uint64_t node, const fuse_setattr_in& in) {
    return call(FUSE_SETATTR, node, fuse_args{}.add(in));
  }
  /// Forgets; never answered.
  void forget(std::uint64_t node, std::uint64_t lookups = 1) {
    call(FUSE_FORGET, node, fuse_args{}.add(fuse_forget_in{lookups}));
  }

  /// All names of a directory, dots left out, read by requests of `size` bytes.
  std::vector<std::string> list(std::uint64_t node, std::uint32_t size = 4096,
                                bool plus = false) {
    std::vector<std::string> names;
    const auto handle = open(node, 0, FUSE_OPENDIR).as<fuse_open_out>().fh;
    for (std::uint64_t offset = 0;;) {
      const auto reply = read(handle, offset, size, plus ? FUSE_READDIRPLUS : FUSE_READDIR);
      if (reply.error != 0 || reply.body.empty())
        break;
      offset = add_names(reply, plus, names);
    }
    release(handle, FUSE_RELEASEDIR);
    return names;
  }

private:
  /// fuse_dirent without its open end.
  struct entry_head {
    std::uint64_t inode = 0;
    std::uint64_t offset = 0;
    std::uint32_t namelen = 0;
    std::uint32_t type = 0;
  };

  static std::uint64_t add_names(const fuse_reply& reply, bool plus,
                                 std::vector<std::string>& names) {
    std::uint64_t next = 0;
    const std::size_t skipped = plus ? sizeof(fuse_entry_out) : 0;
    const auto text = reply.text();
    for (std::size_t at = 0; at < text.size();) {
      const std::span rest{reply.body.data() + at + skipped, reply.body.size() - at - skipped};
      const auto head = fuse::arguments{rest}.take<entry_head>().value_or(entry_head{});
      const auto name = text.substr(at + skipped + FUSE_NAME_OFFSET, head.namelen);
      if (name != "." && name != "..")
        names.push_back(name);
      next = head.offset;
      at += FUSE_REC_ALIGN(skipped + FUSE_NAME_OFFSET + head.namelen);
    }
    return next;
  }

  fuse::session& where_;
  std::uint64_t unique_ = 0;
};

} // namespace troupe::testing
