#pragma once

#include "actors/sandbox/journal/journal.hpp"
#include "actors/sandbox/journal/undo.hpp"

#include <memory>
#include <string>

/// The folder of one pod on the host: its journal, its device sockets.
namespace troupe::pod {

/// Makes `path` (mode 0700, with its parents) and starts the journal in it. What a dead owner left
/// there is undone first. already_exists: a live process owns it. host_io.
/// Blocks on the file system.
[[nodiscard]] outcome<std::unique_ptr<journal::file>> open_directory(const std::string& path,
                                                                     time_point deadline);

/// Undoes whatever the journal still holds, then removes the folder with all in it. The failures
/// of single undos are in the report; the folder stays when something of ours is left, so that
/// `delete` and `troupectl sweep` can try again.
[[nodiscard]] journal::undo_report close_directory(const std::string& path, journal::file& journal,
                                                   time_point deadline);

/// 128 random bits as hex: marks the pod's processes in their argv.
[[nodiscard]] std::string new_token();

} // namespace troupe::pod
