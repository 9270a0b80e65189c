#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

/// The archive that the guest's kernel unpacks into its first file system.
///
/// Format: "newc" cpio, uncompressed (Linux Documentation/driver-api/early-userspace/
/// buffer-format.rst); inflating costs more than loading under emulation. The same entries always
/// give the same bytes: owners are 0, times are 0, inode numbers follow the order. No privilege is
/// needed, for device nodes are written, never made.
namespace troupe::image {

/// What an entry is.
enum class entry_kind : std::uint8_t { directory, file, symlink, char_device };

/// One file of the guest.
struct entry {
  entry_kind kind = entry_kind::file;
  /// From the root, without a leading slash: "etc/hostname".
  std::string path = {};
  /// Permission bits with sticky and set-id bits, 07777.
  std::uint32_t mode = 0644;
  /// A file's bytes or a symlink's target; empty for the others.
  std::string content = {};
  /// Of a char_device.
  std::uint32_t major = 0;
  /// Of a char_device.
  std::uint32_t minor = 0;
};

/// The entries of the guest's root with these bytes as /init, every parent before its children.
[[nodiscard]] std::vector<entry> standard_layout(std::string init);

/// Reads "SOURCE:DESTINATION[:MODE]" and the file SOURCE. DESTINATION is absolute and without "..",
/// MODE is octal and 0644 without it. Errors: invalid_argument names the part, host_io the file.
[[nodiscard]] outcome<entry> added_file(std::string_view words);

/// Adds a file and those of its parent directories that no entry names. Errors: already_exists.
[[nodiscard]] outcome<void> add(std::vector<entry>& entries, entry file);

/// The whole file. Errors: host_io.
[[nodiscard]] outcome<std::string> read_file(const std::filesystem::path& path);

/// The archive's bytes. Errors: internal, when an entry cannot be expressed in the format.
[[nodiscard]] outcome<std::string> to_cpio(const std::vector<entry>& entries);

/// Writes the bytes beside `path` and renames them there, so no reader sees half of them.
[[nodiscard]] outcome<void> replace_file(const std::filesystem::path& path, std::string_view bytes);

} // namespace troupe::image
