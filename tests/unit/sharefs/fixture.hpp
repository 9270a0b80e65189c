#pragma once

#include "actors/sharefs/fuse/session.hpp"
#include "tests/support/fuse_client.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace troupe::testing {

/// A folder on the host, shared as "c1/rootfs", and a client that has shaken hands.
struct shared_folder {
  explicit shared_folder(fuse::limits bounds = {}, sharefs::share_policy policy = {})
      : shares(bounds), client(shares) {
    std::string pattern = std::filesystem::temp_directory_path() / "troupe-fs-XXXXXX";
    host = ::mkdtemp(pattern.data());
    share("c1/rootfs", host, policy);
    client.uid = ::geteuid();
    client.gid = ::getegid();
    client.init();
    root = client.walk("c1/rootfs");
  }
  ~shared_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(host, ignored);
  }
  shared_folder(const shared_folder&) = delete;
  shared_folder& operator=(const shared_folder&) = delete;

  void share(const std::string& name, const std::string& path, sharefs::share_policy policy = {}) {
    unique_fd tree{::open(path.c_str(), O_PATH | O_CLOEXEC)};
    REQUIRE(tree);
    REQUIRE(shares.add_share(name, std::move(tree), policy));
  }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream{host / name, std::ios::binary} << text;
  }
  [[nodiscard]] std::string get(const std::string& name) const {
    std::ifstream file{host / name, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  [[nodiscard]] bool exists(const std::string& name) const {
    return std::filesystem::exists(std::filesystem::symlink_status(host / name));
  }
  [[nodiscard]] struct stat status(const std::string& name) const {
    struct stat found {};
    REQUIRE(::lstat((host / name).c_str(), &found) == 0);
    return found;
  }
  /// The node of a name in the share; 0 when there is none.
  std::uint64_t node(const std::string& name) {
    return client.lookup(root, name).as<fuse_entry_out>().nodeid;
  }
  /// An open handle of a name in the share.
  std::uint64_t opened(const std::string& name, std::uint32_t flags) {
    const auto reply = client.open(node(name), flags);
    REQUIRE(reply.error == 0);
    return reply.as<fuse_open_out>().fh;
  }

  fuse::session shares;
  fuse_client client;
  std::filesystem::path host;
  std::uint64_t root = 0;
};

/// Descriptors that this process has open.
inline std::size_t open_descriptors() {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator{"/proc/self/fd"},
                    std::filesystem::directory_iterator{}));
}

} // namespace troupe::testing
