#pragma once

#include "actors/sandbox/journal/undo.hpp"

namespace troupe::journal {

/// Name of the journal within a sandbox's run folder.
inline constexpr std::string_view file_name = "journal";

struct swept {
  std::string directory;
  undo_report undo;
  /// Why the folder could not be handled or removed; nothing when it is gone.
  std::optional<failure> problem;
};

/// Whether the process that wrote a journal still lives (a zombie does not).
[[nodiscard]] bool alive(const owner& who);

/// Replays the journal of one run folder and removes the folder with all that is in it.
/// A folder that is not there is a success. failed_precondition: its owner is alive.
/// Never follows a symlink, never crosses into another mount.
[[nodiscard]] outcome<swept> sweep_one(const std::string& directory, host_effects& host,
                                       time_point deadline);

/// Does that for each folder directly in `state_dir` whose journal's owner is dead. Folders without
/// a journal are left alone: a starting daemon makes the folder first.
/// host_io: `state_dir` cannot be read; a missing one is an empty list.
[[nodiscard]] outcome<std::vector<swept>> sweep(const std::string& state_dir, host_effects& host,
                                                time_point deadline);

} // namespace troupe::journal
