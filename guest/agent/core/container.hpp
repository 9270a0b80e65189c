#pragma once

#include "guest/agent/cgroup/cgroup.hpp"
#include "guest/agent/core/process.hpp"
#include "guest/agent/spec/plan.hpp"
#include "messages/vocabulary/ids.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::guest {

/// Exited processes that are kept for a second question, per container. A probe that runs every few
/// seconds for months, and a host that never lets go, would fill the guest; the oldest is
/// forgotten.
inline constexpr std::size_t max_kept_exits = 1024;
/// Processes added to one container and not yet exited.
inline constexpr std::size_t max_execs = 1024;

enum class container_phase : std::uint8_t { creating, created, running, removing };

[[nodiscard]] std::string_view name(container_phase phase) noexcept;

/// One container: what it is made of and its processes. Its phase says what may be asked; whether
/// it still runs is its init's business. One thread: the loop's; workers are given what they need
/// of it.
class container {
public:
  explicit container(std::string id) : id_(std::move(id)) {}

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] container_phase phase() const noexcept { return phase_; }
  void enter(container_phase next) noexcept { phase_ = next; }

  /// failed_precondition that names the phase unless it is one of these.
  [[nodiscard]] outcome<void> require(std::initializer_list<container_phase> allowed) const;

  /// The init by an empty id or the container's own, another process by its exec id.
  /// @returns not_found.
  [[nodiscard]] outcome<std::shared_ptr<process>> find(std::string_view exec) const;

  /// already_exists, resource_exhausted.
  [[nodiscard]] outcome<void> can_add(std::string_view exec) const;
  void add(std::string_view exec, std::shared_ptr<process> one);

  /// Its exit was told and nobody asked to keep it.
  void forget(std::string_view exec);

  /// An exec exited and is kept; see max_kept_exits.
  void keep_exit(std::string_view exec);

  [[nodiscard]] const std::map<std::string, std::shared_ptr<process>, std::less<>>&
  processes() const noexcept {
    return processes_;
  }

  /// Set once, when the create's work is done; null before.
  std::shared_ptr<const container_plan> plan;
  std::shared_ptr<cgroup> group;
  std::vector<std::string> mount_points;
  /// Its "/", as its init was given it: that of its mount namespace is another one where the agent
  /// itself runs in a chroot.
  unique_fd root;
  /// Outlives its last process; see mount_keeper.
  unique_fd mount_namespace;
  /// A kill came while the create was on its way: it must not come up.
  std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);

private:
  [[nodiscard]] std::string_view key(std::string_view exec) const noexcept {
    return exec == id_ ? std::string_view{} : exec;
  }

  std::string id_;
  container_phase phase_ = container_phase::creating;
  std::map<std::string, std::shared_ptr<process>, std::less<>> processes_;
  std::deque<std::string> kept_;
};

} // namespace troupe::guest
