#include "guest/image/initrd.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>
#include <system_error>

#include <sys/stat.h>

namespace troupe::image {
namespace {

using archive_handle = std::unique_ptr<archive, decltype(&archive_write_free)>;
using entry_handle = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

entry directory(std::string path, std::uint32_t mode = 0755) {
  return {.kind = entry_kind::directory, .path = std::move(path), .mode = mode};
}

entry file(std::string path, std::string content, std::uint32_t mode = 0644) {
  return {.path = std::move(path), .mode = mode, .content = std::move(content)};
}

entry char_device(std::string path, std::uint32_t mode, std::uint32_t major, std::uint32_t minor) {
  return {.kind = entry_kind::char_device,
          .path = std::move(path),
          .mode = mode,
          .major = major,
          .minor = minor};
}

entry symlink(std::string path, std::string target) {
  return {.kind = entry_kind::symlink,
          .path = std::move(path),
          .mode = 0777,
          .content = std::move(target)};
}

mode_t type_bits(entry_kind kind) {
  switch (kind) {
  case entry_kind::directory:
    return AE_IFDIR;
  case entry_kind::file:
    return AE_IFREG;
  case entry_kind::symlink:
    return AE_IFLNK;
  case entry_kind::char_device:
    return AE_IFCHR;
  }
  return AE_IFREG;
}

entry_handle header_of(const entry& one, std::int64_t inode) {
  entry_handle header(archive_entry_new(), &archive_entry_free);
  archive_entry_set_pathname(header.get(), one.path.c_str());
  archive_entry_set_mode(header.get(), type_bits(one.kind) | static_cast<mode_t>(one.mode));
  archive_entry_set_ino64(header.get(), inode);
  archive_entry_set_nlink(header.get(), 1);
  archive_entry_set_mtime(header.get(), 0, 0);
  const auto size = one.kind == entry_kind::file ? one.content.size() : 0;
  archive_entry_set_size(header.get(), static_cast<std::int64_t>(size));
  if (one.kind == entry_kind::symlink)
    archive_entry_set_symlink(header.get(), one.content.c_str());
  if (one.kind == entry_kind::char_device) {
    archive_entry_set_rdevmajor(header.get(), one.major);
    archive_entry_set_rdevminor(header.get(), one.minor);
  }
  return header;
}

la_ssize_t append(archive*, void* bytes, const void* data, std::size_t size) {
  static_cast<std::string*>(bytes)->append(static_cast<const char*>(data), size);
  return static_cast<la_ssize_t>(size);
}

outcome<void> write_entry(archive* out, const entry& one, std::int64_t inode) {
  const auto header = header_of(one, inode);
  if (archive_write_header(out, header.get()) != ARCHIVE_OK)
    return fail(errc::internal, "initrd entry {}: {}", one.path, archive_error_string(out));
  if (one.kind != entry_kind::file || one.content.empty())
    return {};
  const auto written = archive_write_data(out, one.content.data(), one.content.size());
  if (written != static_cast<la_ssize_t>(one.content.size()))
    return fail(errc::internal, "initrd entry {}: {}", one.path, archive_error_string(out));
  return {};
}

outcome<std::uint32_t> octal_mode(std::string_view text) {
  std::uint32_t mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc{} || end != text.data() + text.size() || mode > 07777)
    return fail(errc::invalid_argument, "mode '{}' is not octal and within 7777", text);
  return mode;
}

/// The path inside the archive. A ".." would let an added file leave the tree it is shown in.
outcome<std::string> inside_path(std::string_view destination) {
  const std::filesystem::path path(destination);
  const auto climbs = std::ranges::find(path, std::filesystem::path("..")) != path.end();
  if (!path.is_absolute() || climbs || !path.has_filename())
    return fail(errc::invalid_argument, "destination '{}' is no absolute path of a file",
                destination);
  return path.lexically_normal().relative_path().string();
}

} // namespace

std::vector<entry> standard_layout(std::string init) {
  return {
      directory("dev"),
      char_device("dev/console", 0600, 5, 1),
      char_device("dev/null", 0666, 1, 3),
      directory("etc"),
      file("etc/group", "root:x:0:\n"),
      file("etc/hostname", "troupe\n"),
      file("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\n"),
      file("etc/resolv.conf", ""),
      file("init", std::move(init), 0755),
      directory("proc", 0555),
      directory("root", 0700),
      directory("run"),
      directory("sbin"),
      directory("sys", 0555),
      directory("tmp", 01777),
      directory("var"),
      symlink("var/run", "/run"),
  };
}

outcome<entry> added_file(std::string_view words) {
  const auto first = words.find(':');
  if (first == 0 || first == std::string_view::npos)
    return fail(errc::invalid_argument, "'{}' is not SOURCE:DESTINATION[:MODE]", words);
  const auto rest = words.substr(first + 1);
  const auto second = rest.find(':');
  const auto mode = second == rest.npos ? 0644u : TRY(octal_mode(rest.substr(second + 1)));
  auto path = TRY(inside_path(rest.substr(0, second)));
  return file(std::move(path), TRY(read_file(words.substr(0, first))), mode);
}

outcome<void> add(std::vector<entry>& entries, entry added) {
  const auto known = [&](const std::string& path) {
    return std::ranges::find(entries, path, &entry::path) != entries.end();
  };
  if (known(added.path))
    return fail(errc::already_exists, "'/{}' is in the image already", added.path);
  for (auto slash = added.path.find('/'); slash != std::string::npos;
       slash = added.path.find('/', slash + 1)) {
    if (auto parent = added.path.substr(0, slash); !known(parent))
      entries.push_back(directory(std::move(parent)));
  }
  entries.push_back(std::move(added));
  return {};
}

outcome<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(in), {});
  if (!in.is_open() || in.bad())
    return fail_errno("read " + path.string(), errno);
  return bytes;
}

outcome<std::string> to_cpio(const std::vector<entry>& entries) {
  std::string bytes;
  const archive_handle out(archive_write_new(), &archive_write_free);
  archive_write_set_format_cpio_newc(out.get());
  archive_write_set_bytes_in_last_block(out.get(), 1);
  if (archive_write_open(out.get(), &bytes, nullptr, &append, nullptr) != ARCHIVE_OK)
    return fail(errc::internal, "initrd: {}", archive_error_string(out.get()));
  std::int64_t inode = 0;
  for (const auto& one : entries)
    TRY(write_entry(out.get(), one, ++inode));
  if (archive_write_close(out.get()) != ARCHIVE_OK)
    return fail(errc::internal, "initrd: {}", archive_error_string(out.get()));
  return bytes;
}

outcome<void> replace_file(const std::filesystem::path& path, std::string_view bytes) {
  const auto part = path.string() + ".part";
  std::ofstream out(part, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out)
    return fail_errno("write " + part, errno);
  std::error_code error;
  std::filesystem::rename(part, path, error);
  if (error)
    return fail_errno("rename " + part, error.value());
  return {};
}

} // namespace troupe::image
