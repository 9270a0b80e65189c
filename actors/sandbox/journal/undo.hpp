#pragma once

#include "actors/sandbox/journal/journal.hpp"
#include "messages/vocabulary/units.hpp"

#include <memory>

namespace troupe::journal {

/// Longest wait of one undo: for a killed process to be gone, for a cgroup to empty.
inline constexpr milliseconds undo_limit{5000};

/// The port through which effects are taken back; the real one below, a faulty one in tests.
class host_effects {
public:
  virtual ~host_effects() = default;

  /// Takes one effect back. Idempotent: what is gone already is a success. `deadline` bounds the
  /// waiting, not the first try, so an undo with no time left is still tried once.
  /// Never touches what is not ours: a recycled pid, a path outside its root, another's mount.
  [[nodiscard]] virtual outcome<void> undo(const effect& what, const root_table& roots,
                                           time_point deadline) = 0;
  [[nodiscard]] virtual time_point now() const = 0;
};

/// The Linux host. Stateless and thread-safe. Needs the privileges the effects were made with.
[[nodiscard]] std::unique_ptr<host_effects> make_host_effects();

struct leftover {
  live_effect what;
  failure why;
};

struct undo_report {
  std::size_t undone = 0;
  /// In the order they were tried. Empty: nothing of ours is left.
  std::vector<leftover> remaining;

  [[nodiscard]] bool clean() const noexcept { return remaining.empty(); }
  /// One line for a log: "undid 5, 1 left: mount state:rootfs: host_io: ...".
  [[nodiscard]] std::string to_string() const;
};

/// Takes one live effect back and settles it. Effects of another boot that died with it are settled
/// without a touch.
[[nodiscard]] outcome<void> undo_one(file& journal, effect_id id, host_effects& host,
                                     time_point deadline);

/// Takes every live effect back, youngest first. Each gets min(undo_limit, what is left until
/// `deadline`); a failure is collected and the next one is tried. What remains stays live in the
/// journal, for the next try.
[[nodiscard]] undo_report undo_all(file& journal, host_effects& host, time_point deadline);

} // namespace troupe::journal
