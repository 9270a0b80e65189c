#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <functional>
#include <string>
#include <vector>

namespace troupe::ctl {

/// Most that an image may unpack to: a few kilobytes of tar can hold terabytes of zeros.
inline constexpr byte_count max_image_size = gib(16);
/// Most files in one: each costs an inode, whatever its size.
inline constexpr std::size_t max_image_entries = 1'000'000;
/// Most layers that a manifest may list; Docker stops at 127.
inline constexpr std::size_t max_image_layers = 256;
/// Longest index, manifest or configuration.
inline constexpr byte_count max_image_json = mib(4);

/// What an image says about its command. Empty where it says nothing.
struct image_defaults {
  std::vector<std::string> env;
  std::vector<std::string> command;
  std::string cwd;
};

/// Unpacks a tar (any compression) below `folder`, which is empty and ours: an OCI image layout, of
/// which the first image for this architecture is taken, or a plain root file system.
/// Nothing is written outside of `folder`: no absolute names, no "..", no way through a symlink;
/// device nodes are left out.
/// @param rootfs receives the path of the root file system.
/// @param cancelled asked now and then.
/// invalid_argument: the image; resource_exhausted: names the cap; cancelled; host_io.
/// Changes the working folder for its duration: only while the program has no other thread that
/// cares.
[[nodiscard]] outcome<image_defaults> unpack_image(const std::string& tar,
                                                   const std::string& folder, std::string& rootfs,
                                                   const std::function<bool()>& cancelled);

} // namespace troupe::ctl
