#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <cstdint>
#include <string>

namespace troupe::rootfs {

/// A system call on a mount failed. What the mount's author got wrong (a path, an option) is
/// invalid_argument, the rest host_io.
[[nodiscard]] failed mount_failure(const std::string& what, int os_error);

/// A file system being configured: fsopen(2), fsconfig(2), fsmount(2). Failures carry what the
/// kernel wrote into the context's log ("overlay: Unknown parameter 'foo'").
class fs_context {
public:
  /// @param field the mount's place, first word of every error: "rootfs[0]".
  /// @returns unimplemented when this kernel does not know the file system.
  [[nodiscard]] static outcome<fs_context> open(std::string field, std::string type);

  /// An option; an empty value makes it a flag.
  [[nodiscard]] outcome<void> set(const std::string& name, const std::string& value);

  /// Makes the file system and a mount of it that is attached nowhere.
  /// @param attributes MOUNT_ATTR_*.
  [[nodiscard]] outcome<unique_fd> mount(std::uint64_t attributes);

  /// Whether this file system checks options one by one. A context of the old kind, which overlayfs
  /// had before Linux 6.5, swallows all and fits them into one page.
  [[nodiscard]] bool checks_options() const;

private:
  fs_context(std::string field, std::string type, unique_fd fd)
      : field_(std::move(field)), type_(std::move(type)), fd_(std::move(fd)) {}

  [[nodiscard]] failed refused(const std::string& what, int os_error) const;
  [[nodiscard]] std::string drain_log() const;

  std::string field_;
  std::string type_;
  unique_fd fd_;
};

} // namespace troupe::rootfs
