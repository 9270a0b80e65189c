#pragma once

#include "guest/agent/spec/plan.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::guest {

/// Where cgroup v2 is mounted and what to do on a kernel that lacks a controller.
struct cgroup_settings {
  std::string root;
  bool lenient = false;
};

/// One container's cgroup (v2). Made and removed with its parents below the root; the agent itself
/// stays in the root, which has no limits. Only files; every call may block.
class cgroup {
public:
  cgroup() = default;

  /// Makes the directory and its parents, and hands every controller there is down to it.
  /// @pre `path` comes from cgroup_path().
  [[nodiscard]] static outcome<cgroup> create(const cgroup_settings& settings,
                                              std::string_view path);

  /// Makes all writes, in order. A missing file fails and names the field it was for, except for
  /// hugetlb page sizes the guest does not have, and unless the settings are lenient.
  [[nodiscard]] outcome<void> apply(std::span<const cgroup_write> writes) const;

  /// O_PATH-like directory descriptor; owned by the cgroup.
  [[nodiscard]] int dir() const noexcept { return dir_.get(); }

  /// Descriptor of cgroup.procs; a child that writes "0" to it moves in.
  [[nodiscard]] outcome<unique_fd> open_procs(bool nested = false) const;

  /// SIGKILL to every process in it and below.
  [[nodiscard]] outcome<void> kill() const;

  /// Stops or continues all of them and waits until the kernel says so.
  [[nodiscard]] outcome<void> freeze(bool frozen, milliseconds deadline) const;

  /// Waits until nothing runs in it, then removes it, what containers made below it, and empty
  /// parents. deadline_exceeded while something still runs; gone already is success.
  [[nodiscard]] outcome<void> remove(milliseconds deadline);

  /// Content of one file, at most 64 KiB; empty when there is none.
  [[nodiscard]] std::string read(const char* file) const;

  /// Absolute path, for watchers.
  [[nodiscard]] std::string path() const { return settings_.root + '/' + path_; }

private:
  [[nodiscard]] outcome<void> write(const char* file, std::string_view value) const;
  [[nodiscard]] outcome<void> wait_event(std::string_view line, milliseconds deadline,
                                         std::string_view stage) const;

  cgroup_settings settings_;
  std::string path_;
  unique_fd dir_;
};

/// The value of `key` in "key value" lines; nothing when absent or no number.
[[nodiscard]] std::optional<std::uint64_t> keyed_value(std::string_view text,
                                                       std::string_view key) noexcept;

} // namespace troupe::guest
