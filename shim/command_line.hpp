#pragma once

#include "messages/vocabulary/ids.hpp"

#include <span>
#include <string>

namespace troupe::shim {

/// What the binary is asked to do. `run` is no word on the command line: it is the absence of one.
enum class action : std::uint8_t { run, start, remove, version, info, help };

/// containerd's command line for a shim v2: Go flag style, one or two dashes, `-flag value` or
/// `-flag=value`, the action word last.
struct command_line {
  action what = action::run;
  namespace_id containerd_namespace;
  /// The container for which containerd called; of `run`, the pod's.
  container_id id;
  /// containerd's gRPC socket; may be empty.
  std::string address;
  std::string publish_binary;
  /// Only with `delete`, an existing folder there.
  std::string bundle;
  bool debug = false;
};

/// Longest argument we look at: PATH_MAX. A longer one is refused before it reaches a path or a
/// log.
inline constexpr std::size_t max_argument_length = 4096;

/// Parses argv[1...]. help wins over version over info over the action word.
/// invalid_argument: names the flag that is unknown, lacks its value, or does not validate. id and
/// namespace are mandatory for start, delete and run, `-bundle` for delete.
[[nodiscard]] outcome<command_line> parse_command_line(std::span<const char* const> arguments);

/// The text of `-help`.
[[nodiscard]] std::string_view usage() noexcept;

} // namespace troupe::shim
