#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

/// The QEMU Machine Protocol, as in QEMU's docs/interop/qmp-spec: one JSON object a line.
namespace troupe::hypervisor::qemu::qmp {

/// Longest line taken; the largest real answer (query-hotpluggable-cpus of 64) has about 12 KiB.
/// A peer that sends more is broken and is dropped.
inline constexpr std::size_t max_line = 256 * 1024;

struct greeting {
  /// "7.2.22".
  std::string version;
};
struct answer {
  std::uint64_t id = 0;
  nlohmann::json value;
};
struct refusal {
  /// Nothing when QEMU could not even read the id.
  std::optional<std::uint64_t> id;
  /// "GenericError", "DeviceNotFound" ...
  std::string kind;
  std::string text;
};
struct event {
  std::string name;
  nlohmann::json data;
};
using message = std::variant<greeting, answer, refusal, event>;

/// peer_fault: no JSON object, or none of the four shapes.
[[nodiscard]] outcome<message> parse(std::string_view line);

/// One line with its end. `arguments` is an object or null.
[[nodiscard]] std::string command(std::uint64_t id, std::string_view name,
                                  const nlohmann::json& arguments);

/// Cuts the stream into lines.
class splitter {
public:
  /// peer_fault: a line longer than max_line.
  [[nodiscard]] outcome<void> feed(std::string_view bytes);
  /// The next whole line, without its end.
  [[nodiscard]] std::optional<std::string> next();

private:
  std::string buffer_;
};

} // namespace troupe::hypervisor::qemu::qmp
