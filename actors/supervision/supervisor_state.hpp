#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// When a child that ended is started again.
enum class restart_mode : std::uint8_t {
  permanent, ///< always
  transient, ///< when it failed; an end without an error is final
  temporary, ///< never
};

/// Who is restarted with a child that failed.
enum class restart_strategy : std::uint8_t {
  one_for_one,  ///< nobody
  one_for_all,  ///< all siblings
  rest_for_one, ///< the siblings that were added after it
};

/// How often and how fast children come back.
struct restart_policy {
  restart_strategy strategy = restart_strategy::one_for_one;
  /// More restarts than this within `window` end the supervisor (escalation). 0: the first one
  /// does.
  std::uint32_t max_restarts = 5;
  milliseconds window{30'000};
  /// Before the first restart in a window; doubles with each further one. At least 1 ms, so that a
  /// child that dies at once cannot starve its siblings.
  milliseconds first_delay{1};
  milliseconds max_delay{5'000};
};

/// Most children of one supervisor: containers and processes are added by request.
inline constexpr std::size_t max_children = 4096;
/// After a kill a child has this long to be gone; one that still runs hangs inside a handler, holds
/// its thread, and is given up with an error.
inline constexpr milliseconds kill_grace{1'000};

/// Names one child for as long as the supervisor lives; never used twice.
using child_id = std::uint32_t;

/// What the actor around a supervisor_state has to do, in this order.
struct supervisor_command {
  enum class kind : std::uint8_t {
    start,    ///< start the child, then report started() or start_failed()
    ask_exit, ///< ask it to end
    kill,     ///< end it before its next message
    abandon,  ///< it did not end: let go of it
    removed,  ///< it is gone for good; `why` is set when it had to be given up
    finish,   ///< no child is left: end, with `why` when this is an escalation
  };
  kind what = kind::start;
  child_id child = 0;
  std::optional<failure> why;

  friend bool operator==(const supervisor_command&, const supervisor_command&) = default;
};

/// The rules of a supervisor; it holds no handles and reads no clock. Every call that may have
/// consequences returns them as commands. Children are started in the order they were added and
/// stopped one after another in the reverse order.
///
/// Reports that name an old generation are ignored: a child that was given up may still end.
class supervisor_state {
public:
  using commands = std::vector<supervisor_command>;

  explicit supervisor_state(restart_policy policy);

  struct child_rules {
    std::string name;
    restart_mode mode = restart_mode::permanent;
    /// How long the child may take to end when asked, before it is killed.
    milliseconds grace{5'000};
  };

  /// A new last child; follow with advance() to have it started.
  /// already_exists, resource_exhausted (max_children), failed_precondition (the supervisor is
  /// stopping).
  [[nodiscard]] outcome<child_id> add(child_rules rules, time_point now);

  /// Takes a child out for good. Ends with the command `removed`. not_found.
  [[nodiscard]] outcome<commands> remove(std::string_view name, time_point now);

  /// @returns the generation of this run of the child, 1 for the first.
  std::uint64_t started(child_id child);
  [[nodiscard]] commands start_failed(child_id child, failure why, time_point now);

  /// A child's run ended; no reason means it ended on its own without an error.
  [[nodiscard]] commands ended(child_id child, std::uint64_t generation, std::optional<failure> why,
                               time_point now);

  /// Ends everything: children in reverse order, each with its grace, then `finish`.
  [[nodiscard]] commands stop(time_point now);

  /// Does what is due. Harmless at any time.
  [[nodiscard]] commands advance(time_point now);

  /// When advance() has something to do next; nothing when it waits for a report only.
  [[nodiscard]] std::optional<time_point> next_due() const;

  /// Restarts inside the window that ends at `now`.
  [[nodiscard]] std::size_t recent_restarts(time_point now) const;

  struct child_view {
    child_id id = 0;
    std::string_view name;
    std::uint64_t generation = 0;
    std::uint32_t restarts = 0;
    bool running = false;
  };
  [[nodiscard]] std::vector<child_view> children() const;

private:
  enum class phase : std::uint8_t { waiting, starting, running, stopping, killing, ended };
  struct entry {
    child_id id = 0;
    child_rules rules;
    phase now = phase::waiting;
    /// While waiting: not before this.
    time_point start_at{};
    /// While stopping and killing.
    time_point patience_ends{};
    std::uint64_t generation = 0;
    std::uint32_t restarts = 0;
    /// Has to end, to leave or to be started afresh with its group.
    bool going_down = false;
    bool leaving = false;
    /// Set when it was given up.
    std::optional<failure> stuck;
  };

  [[nodiscard]] entry* find(child_id child);
  [[nodiscard]] static bool alive(const entry& child);
  [[nodiscard]] bool in_group(const entry& member, const entry& failed) const;
  [[nodiscard]] bool blocked(const entry& child) const;
  [[nodiscard]] std::optional<failure>
  count_restart(const entry& child, const std::optional<failure>& why, time_point now);
  [[nodiscard]] milliseconds delay() const;
  void settle(entry& child, std::optional<failure> why, time_point now);
  void restart_group(const entry& failed, time_point now);
  void begin_stop(std::optional<failure> why);
  void stop_next(commands& out, time_point now);
  void run_out_of_patience(commands& out, time_point now);
  void give_up(entry& child, commands& out);
  void start_next(commands& out, time_point now);
  void sweep(commands& out);

  restart_policy policy_;
  std::vector<entry> children_;
  std::deque<time_point> restarts_;
  child_id last_id_ = 0;
  bool stopping_ = false;
  bool finished_ = false;
  /// Why this supervisor gives up, when it does.
  std::optional<failure> escalation_;
  /// The first child that had to be given up.
  std::optional<failure> stuck_;
};

} // namespace troupe
