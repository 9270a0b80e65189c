#pragma once

#include "config/config.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace troupe::config {

/// Largest configuration file. The longest example has 6 KiB; more is a wrong path or an attack.
inline constexpr byte_count max_file_size = kib(256);
/// Most files in config.d; bounds the time of a start.
inline constexpr std::size_t max_drop_ins = 64;
/// Longest text value and longest list.
inline constexpr std::size_t max_text_length = 4095;
inline constexpr std::size_t max_list_length = 256;

/// A file that was read: its name for messages, its bytes.
struct source {
  std::string name;
  std::string text;
};

/// What came of reading configuration. Usable only if `errors` is empty.
struct report {
  config values;
  /// "file:line: runtime.log_level: ...", in the order of the files.
  std::vector<std::string> errors;
  /// Same shape: unknown, renamed and not yet supported keys. For the log.
  std::vector<std::string> warnings;
  /// The files that count, in order; empty = built-in defaults.
  std::vector<std::string> files;
};

/// Lays `sources` over the defaults, later ones win key by key. Pure. Never fails: errors are
/// listed.
[[nodiscard]] report parse(const std::vector<source>& sources);

/// Where to look, in this order.
struct search_list {
  /// Value of TROUPE_CONF_FILE; empty = unset.
  std::string environment;
  /// ConfigPath of the runtime options; empty = none.
  std::string option;
  /// Taken are the first that exists and its `config.d/*.toml` in byte order.
  std::vector<std::string> defaults = {"/etc/troupe/configuration.toml",
                                       "/usr/share/defaults/troupe/configuration.toml"};
};

/// Reads the first file of the list and the `config.d/*.toml` beside it. None of the default files:
/// the built-in defaults.
/// @returns invalid_argument that lists every violation at once; not_found when a file that was
///   named (environment, option) is missing; errors of a file name it.
/// Blocks on the file system. Any thread.
[[nodiscard]] outcome<report> load(const search_list& where);

/// The search list of this process: TROUPE_CONF_FILE, then `option`.
[[nodiscard]] search_list standard_search(std::string option);

} // namespace troupe::config
