#pragma once

#include "actors/sandbox/journal/effect.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace troupe::journal {

/// Names an effect within one journal; no two live effects share one. 0 is none.
enum class effect_id : std::uint32_t {};

/// A journal in the making has this behind its name.
inline constexpr std::string_view next_suffix = ".new";

/// Most effects alive at once. A pod of 256 containers with their mounts, sockets and processes
/// stays far below; a leak in our own book-keeping ends here instead of filling /run.
inline constexpr std::size_t max_live_effects = 16384;
/// A file longer than this is rewritten without its settled effects, when most of it may be such.
inline constexpr std::size_t compaction_threshold = 64 * 1024;
/// Largest file we read: max_live_effects of a usual size. A larger one is not ours.
inline constexpr std::size_t max_file_size = 16 * 1024 * 1024;

/// One effect that has not been undone yet.
struct live_effect {
  effect_id id{};
  effect what;
  /// Of the boot it was made in.
  boot_id boot{};
};

/// An append-only file of what we have done to the host. Written without fsync: the page cache
/// survives kill -9, and what the power takes with it takes the effects too.
///
/// Protocol of every effect: record() -> make it -> (amend() with what is known only now) ->
/// ... -> undo it -> settle().
///
/// Thread-safe; every call is a short write(2). Holds flock(2) on the file, so that no two
/// processes replay one journal. The lock dies with the process.
class file {
public:
  /// Makes `path` (mode 0600) and writes who owns it.
  /// already_exists; invalid_argument (roots); host_io.
  [[nodiscard]] static outcome<std::unique_ptr<file>>
  create(const std::string& path, const owner& by, const root_table& roots);

  /// Opens a dead owner's journal to replay it. A torn tail is cut off. Damage in the middle is
  /// reported by damage() and everything readable is kept.
  /// not_found; failed_precondition (another process holds it); corrupt (not even an owner record
  /// can be read); host_io.
  [[nodiscard]] static outcome<std::unique_ptr<file>> open_existing(const std::string& path);

  /// Says that `what` is about to be made. @pre: not made yet.
  /// invalid_argument (check(effect)); resource_exhausted (max_live_effects); host_io.
  [[nodiscard]] outcome<effect_id> record(const effect& what);

  /// Replaces what is known about an effect: pid, mount id. not_found: no such live effect.
  [[nodiscard]] outcome<void> amend(effect_id id, const effect& what);

  /// The effect is gone or never happened. Idempotent.
  [[nodiscard]] outcome<void> settle(effect_id id);

  /// All live effects, oldest first.
  [[nodiscard]] std::vector<live_effect> live() const;
  [[nodiscard]] std::optional<live_effect> find(effect_id id) const;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] const owner& written_by() const noexcept { return owner_; }
  [[nodiscard]] const root_table& roots() const noexcept { return roots_; }
  /// The boot in which the owner began it.
  [[nodiscard]] const boot_id& written_in() const noexcept { return owner_boot_; }
  /// The boot we are in.
  [[nodiscard]] const boot_id& this_boot() const noexcept { return boot_; }
  /// errc::corrupt with the offset of the first damaged byte range; nothing for a sound file.
  [[nodiscard]] const std::optional<failure>& damage() const noexcept { return damage_; }

private:
  file() = default;
  [[nodiscard]] outcome<void> load();
  [[nodiscard]] outcome<void> append(const std::string& payload);
  /// Rewrites the file when that helps; a failure is logged and costs only space.
  void compact();
  [[nodiscard]] outcome<void> rewrite();

  mutable std::mutex mutex_;
  std::string path_;
  unique_fd fd_;
  std::uint64_t size_ = 0;
  /// Size after the last rewrite: the next one waits until the file has grown to four times that.
  std::uint64_t last_compact_size_ = 0;
  boot_id boot_{};
  owner owner_;
  boot_id owner_boot_{};
  root_table roots_;
  std::uint32_t last_id_ = 0;
  std::map<effect_id, live_effect> live_;
  std::optional<failure> damage_;
};

/// Who is writing this process's journals: pid and start time of the calling process.
[[nodiscard]] outcome<owner> this_process();

/// Only the owner of a journal, without lock and without change: for a decision whether to replay.
[[nodiscard]] outcome<owner> read_owner(const std::string& path);

} // namespace troupe::journal
