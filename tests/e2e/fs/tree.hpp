#pragma once

#include <cstdint>
#include <string>

/// A file tree made by rule, and a way to compare two trees that different systems see. Built into
/// the host's and the guest's program alike, so either can make it and the other judge it.
namespace troupe::testing {

/// Makes directories, files of many sizes (sparse and empty ones, too), links of both kinds, modes,
/// times to the nanosecond and attributes below `folder`, which is made. Needs root.
void make_tree(const std::string& folder);

struct tree_digest {
  std::uint64_t hash = 0;
  std::size_t entries = 0;

  friend bool operator==(const tree_digest&, const tree_digest&) = default;
};

/// Of every name below `folder`: kind, mode, owner, links, size, modification time, target,
/// attributes and every byte. Throws std::system_error naming what could not be read.
[[nodiscard]] tree_digest digest_tree(const std::string& folder);

} // namespace troupe::testing
