#pragma once

#include "actors/sandbox/lifecycle/table.hpp"
#include "messages/events.hpp"
#include "messages/task.hpp"

#include <optional>

namespace troupe {

/// Size of a terminal in character cells.
struct pty_size {
  std::uint32_t columns = 0;
  std::uint32_t rows = 0;
  friend bool operator==(const pty_size&, const pty_size&) = default;
};

/// Largest row or column count we pass on: the kernel's winsize holds 16 bits.
inline constexpr std::uint32_t max_pty_cells = 0xffff;

/// Every rule of one process: what is legal, what is remembered, when it has ended. It outlives the
/// actor that runs it: after a restart the next one goes on from here. One writer: that actor.
class process_state {
public:
  /// `bundle` is only reported back. Starts in phase created.
  process_state(process_key key, std::string bundle, stdio_paths io, std::uint32_t pid);

  [[nodiscard]] const process_key& key() const noexcept { return key_; }
  [[nodiscard]] const stdio_paths& io() const noexcept { return io_; }
  [[nodiscard]] lifecycle::process_phase phase() const noexcept { return phase_; }
  [[nodiscard]] bool is_init() const noexcept { return key_.exec.empty(); }
  [[nodiscard]] const std::optional<exit_record>& exit() const noexcept { return told_; }
  [[nodiscard]] std::uint32_t pid() const noexcept { return pid_; }
  /// Known only once the machine runs.
  void set_pid(std::uint32_t pid) noexcept { pid_ = pid; }

  /// What the table says; refusals come as the failure to answer.
  [[nodiscard]] outcome<lifecycle::verdict> admit(lifecycle::command what) const;

  /// @pre admit(start) == proceed.
  void begin_start() noexcept { phase_ = lifecycle::process_phase::starting; }
  /// The guest runs it. Ignored when it has already been seen to end.
  void started() noexcept;
  /// The guest refused: it never ran. Later starts are legal again.
  void start_failed() noexcept;

  /// Its exit became known. The first report wins; later ones (a retry, the machine's death) change
  /// nothing. @returns whether this was the first.
  bool exited(exit_record how) noexcept;
  /// Both output streams reached their end, or never were.
  void drained() noexcept { drained_ = true; }
  /// Forgets about output that can no longer come: the machine is gone.
  void abandon_output() noexcept { drained_ = true; }

  /// Whether the end can be told: known, and no output left to deliver. True once; the phase is
  /// `stopped` from then on. Order matters: output, then the record, then the event.
  [[nodiscard]] bool take_finish() noexcept;

  /// Keeps a size for later; 0 means "not known", as terminals without a window say.
  /// invalid_argument: over max_pty_cells; failed_precondition: no terminal.
  [[nodiscard]] outcome<void> resize(pty_size size);
  [[nodiscard]] const std::optional<pty_size>& size() const noexcept { return size_; }

  void close_stdin() noexcept { stdin_closed_ = true; }
  [[nodiscard]] bool stdin_closed() const noexcept { return stdin_closed_; }

  void begin_remove() noexcept { phase_ = lifecycle::process_phase::deleting; }
  /// What a delete answers; a process that never ran has "exited" with 137 at `now`, as runc says.
  [[nodiscard]] deleted_process removed(wall_time now) const noexcept;

  [[nodiscard]] process_report report() const;

private:
  process_key key_;
  std::string bundle_;
  stdio_paths io_;
  std::uint32_t pid_ = 0;
  lifecycle::process_phase phase_ = lifecycle::process_phase::created;
  std::optional<exit_record> seen_; ///< reported by the guest or the machine
  std::optional<exit_record> told_; ///< published; what everybody is answered
  bool drained_ = false;
  bool stdin_closed_ = false;
  std::optional<pty_size> size_;
};

/// Exit status of a process whose machine went away, and of one that never ran: 128 + SIGKILL.
inline constexpr std::uint32_t killed_status = 137;
/// Exit status of a process whose end nobody saw, as containerd itself says it.
inline constexpr std::uint32_t unknown_status = 255;

} // namespace troupe
