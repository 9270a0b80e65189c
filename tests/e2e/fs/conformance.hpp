#pragma once

#include "actors/sharefs/fuse/session.hpp"

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace troupe::testing {

/// The host's side of the virtio-fs conformance suite, for any transport: makes folders and shares,
/// reacts to what the guest says on its console, and judges. Needs root; mounts only in a mount
/// namespace of this process.
class conformance {
public:
  /// How much of everything. A guest whose kernel is emulated is given less to do, never fewer
  /// checks.
  struct scale {
    /// Descriptors that the server may cache; the suite watches that it keeps to it.
    std::size_t descriptor_budget = 1'000;
    /// The tree that is searched: folders and files.
    std::size_t folders = 2'000;
    std::size_t files = 198'000;
    /// Files of the folder that is listed.
    std::size_t listed = 5'000;
  };

  conformance() : conformance(scale{}) {}
  explicit conformance(const scale& of);
  ~conformance();
  conformance(const conformance&) = delete;
  conformance& operator=(const conformance&) = delete;

  [[nodiscard]] const std::shared_ptr<fuse::session>& shares() const { return shares_; }
  [[nodiscard]] std::string command_line() const {
    return "fs_suite=posix,tree,stale,find fs_listed=" + std::to_string(scale_.listed);
  }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  /// One line of the guest's console.
  void heard(const std::string& line);
  /// After the machine ended: prints the verdict. True when the guest finished and nothing failed.
  [[nodiscard]] bool judge();

private:
  void make_folders();
  void add_share(const std::string& name, const std::string& folder, bool cloned, bool read_only);
  void check(bool good, const std::string& what);
  void check_digest(const std::string& line, const std::string& tree);
  void remove_share_in_use();
  void watch_descriptors();

  scale scale_;
  std::filesystem::path folder_;
  std::shared_ptr<fuse::session> shares_;
  int failures_ = 0;
  bool done_ = false;
  std::atomic<bool> stop_ = false;
  std::atomic<std::size_t> most_descriptors_ = 0;
  std::thread watcher_;
};

} // namespace troupe::testing
