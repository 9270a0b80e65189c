#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <compare>
#include <functional>
#include <string>
#include <string_view>

namespace troupe {

/// Longest id we take. containerd itself stops at 76 characters; ids end up in paths and socket
/// names.
inline constexpr std::size_t max_id_length = 76;

/// Whether `text` may be an id: first character alphanumeric, the rest alphanumeric or one of
/// `._-`, 1 ... max_id_length characters. So an id is always one path component and never "." or
/// "..".
/// @returns invalid_argument that names `field` and what is wrong with the text.
[[nodiscard]] outcome<void> check_id(std::string_view field, std::string_view text);

/// A validated id of one kind. Kinds do not mix: a container_id is no exec_id.
template <class Kind>
class basic_id {
public:
  /// Empty: the id of nothing. Only parse() makes others.
  basic_id() = default;

  [[nodiscard]] static outcome<basic_id> parse(std::string_view text) {
    TRY(check_id(Kind::field, text));
    basic_id id;
    id.text_ = text;
    return id;
  }

  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }

  friend auto operator<=>(const basic_id&, const basic_id&) = default;

private:
  std::string text_;
};

struct sandbox_id_kind {
  static constexpr std::string_view field = "sandbox id";
};
struct container_id_kind {
  static constexpr std::string_view field = "container id";
};
struct exec_id_kind {
  static constexpr std::string_view field = "exec id";
};
struct namespace_id_kind {
  static constexpr std::string_view field = "namespace";
};

/// One pod, one virtual machine.
using sandbox_id = basic_id<sandbox_id_kind>;
using container_id = basic_id<container_id_kind>;
/// A process added to a container. Empty means the container's init process.
using exec_id = basic_id<exec_id_kind>;
/// containerd's namespace, not a Linux one.
using namespace_id = basic_id<namespace_id_kind>;

} // namespace troupe

template <class Kind>
struct std::hash<troupe::basic_id<Kind>> {
  std::size_t operator()(const troupe::basic_id<Kind>& id) const noexcept {
    return std::hash<std::string>{}(id.str());
  }
};

template <class Kind>
struct fmt::formatter<troupe::basic_id<Kind>> : fmt::formatter<std::string> {
  template <class Context>
  auto format(const troupe::basic_id<Kind>& id, Context& context) const {
    return fmt::formatter<std::string>::format(id.str(), context);
  }
};
