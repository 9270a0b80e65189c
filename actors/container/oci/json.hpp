#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <nlohmann/json.hpp>

#include <concepts>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// A JSON document of a stranger, read with checks: every access knows its path, so every error
/// does.
namespace troupe::oci {

/// Largest config.json (Kubernetes service links make some hundred KiB) and its deepest nesting
/// (the specification has seven levels).
inline constexpr std::size_t max_json_size = 2 << 20;
inline constexpr int max_json_depth = 32;
/// Longest list and map: bounds what one document can make us send into the guest.
inline constexpr std::size_t max_json_entries = 16'384;

/// Parses `text`; failures are invalid_argument and begin with `what`.
[[nodiscard]] outcome<nlohmann::json> parse_json(std::string_view what, std::string_view text);

/// One value and where it stands. Refers to the document, which must outlive it.
class json_node {
public:
  json_node(const nlohmann::json& value, std::string path)
      : value_(&value), path_(std::move(path)) {}

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// "process.args: <text>".
  template <class... Args>
  [[nodiscard]] failed bad(fmt::format_string<Args...> text, Args&&... args) const {
    return fail(errc::invalid_argument, "{}: {}", path_.empty() ? "config.json" : path_,
                fmt::format(text, std::forward<Args>(args)...));
  }

  /// A member; absent and null are the same, as Go's encoder makes no difference.
  [[nodiscard]] outcome<std::optional<json_node>> child(const char* name) const;
  /// The same, but it must be there.
  [[nodiscard]] outcome<json_node> need(const char* name) const;
  /// The elements of the array `name`; none when it is absent.
  [[nodiscard]] outcome<std::vector<json_node>> list(const char* name) const;
  /// The members of the object `name`; none when it is absent.
  [[nodiscard]] outcome<std::vector<std::pair<std::string, json_node>>>
  members(const char* name) const;

  [[nodiscard]] outcome<std::string> text() const;
  [[nodiscard]] outcome<bool> flag() const;

  /// An integer within the range of `Number`.
  template <std::integral Number>
  [[nodiscard]] outcome<Number> number() const {
    using limits = std::numeric_limits<Number>;
    if (value_->is_number_unsigned()) {
      const auto value = value_->get<std::uint64_t>();
      if (std::cmp_less_equal(value, limits::max()))
        return static_cast<Number>(value);
    } else if (value_->is_number_integer()) {
      const auto value = value_->get<std::int64_t>();
      if (std::cmp_greater_equal(value, limits::min()) && std::cmp_less_equal(value, limits::max()))
        return static_cast<Number>(value);
    }
    return bad("must be an integer in {} ... {}", limits::min(), limits::max());
  }

  /// Members with a default: text, number, flag; the list of texts.
  [[nodiscard]] outcome<std::string> text_of(const char* name) const;
  [[nodiscard]] outcome<bool> flag_of(const char* name) const;
  [[nodiscard]] outcome<std::vector<std::string>> texts_of(const char* name) const;
  template <std::integral Number>
  [[nodiscard]] outcome<Number> number_of(const char* name, Number otherwise = 0) const {
    const auto found = TRY(child(name));
    return found ? found->template number<Number>() : otherwise;
  }

private:
  [[nodiscard]] std::string path_of(std::string_view name) const;

  const nlohmann::json* value_;
  std::string path_;
};

} // namespace troupe::oci
