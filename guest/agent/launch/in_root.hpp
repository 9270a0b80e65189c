#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <cstdint>
#include <string_view>

namespace troupe::guest {

/// Opening and making things below a root directory that somebody hostile may have filled: links,
/// absolute ones too, are resolved inside the root by the kernel (openat2, RESOLVE_IN_ROOT), magic
/// links never. What comes back is a descriptor, so nothing can be swapped between check and use.

enum class links : std::uint8_t { inside, refuse };

/// @param flags open(2) flags; O_CLOEXEC is added.
/// @returns host_io with the errno (ENOENT included) and the path.
[[nodiscard]] outcome<unique_fd> open_in_root(int root, std::string_view path, int flags,
                                              links policy = links::inside);

/// O_PATH descriptor of a directory, made with its parents (0755) when missing.
[[nodiscard]] outcome<unique_fd> make_dir_in_root(int root, std::string_view path,
                                                  links policy = links::inside);

/// O_PATH descriptor of what is there already, or of a new empty file with its parents.
[[nodiscard]] outcome<unique_fd> make_file_in_root(int root, std::string_view path,
                                                   links policy = links::inside);

/// A path split into the directory (perhaps "") and its last part.
struct split_path {
  std::string_view parent;
  std::string_view name;
};
[[nodiscard]] split_path split_last(std::string_view path) noexcept;

} // namespace troupe::guest
