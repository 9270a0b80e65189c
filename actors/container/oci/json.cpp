#include "actors/container/oci/json.hpp"

namespace troupe::oci {

namespace {

/// The library's text without its "[json.exception...] " mark.
std::string_view plain(std::string_view what) {
  const auto end = what.find("] ");
  return end == std::string_view::npos ? what : what.substr(end + 2);
}

} // namespace

outcome<nlohmann::json> parse_json(std::string_view what, std::string_view text) {
  if (text.size() > max_json_size)
    return fail(errc::invalid_argument, "{}: is larger than {} bytes", what, max_json_size);
  bool too_deep = false;
  const auto watch = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    too_deep = too_deep || depth > max_json_depth;
    return !too_deep; // what is too deep is not kept
  };
  try {
    auto document = nlohmann::json::parse(text, watch);
    if (too_deep)
      return fail(errc::invalid_argument, "{}: is nested deeper than {} levels", what,
                  max_json_depth);
    if (!document.is_object())
      return fail(errc::invalid_argument, "{}: must be an object", what);
    return document;
  } catch (const nlohmann::json::exception& why) {
    return fail(errc::invalid_argument, "{}: {}", what, plain(why.what()));
  }
}

std::string json_node::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

outcome<std::optional<json_node>> json_node::child(const char* name) const {
  if (!value_->is_object())
    return bad("must be an object");
  const auto found = value_->find(name);
  if (found == value_->end() || found->is_null())
    return std::optional<json_node>{};
  return std::optional<json_node>{json_node(*found, path_of(name))};
}

outcome<json_node> json_node::need(const char* name) const {
  auto found = TRY(child(name));
  if (!found)
    return fail(errc::invalid_argument, "{}: is missing", path_of(name));
  return *std::move(found);
}

outcome<std::vector<json_node>> json_node::list(const char* name) const {
  std::vector<json_node> nodes;
  const auto found = TRY(child(name));
  if (!found)
    return nodes;
  const auto& array = *found->value_;
  if (!array.is_array())
    return found->bad("must be a list");
  if (array.size() > max_json_entries)
    return found->bad("has more than {} entries", max_json_entries);
  nodes.reserve(array.size());
  for (const auto& element : array)
    nodes.emplace_back(element, fmt::format("{}[{}]", found->path_, nodes.size()));
  return nodes;
}

outcome<std::vector<std::pair<std::string, json_node>>> json_node::members(const char* name) const {
  std::vector<std::pair<std::string, json_node>> nodes;
  const auto found = TRY(child(name));
  if (!found)
    return nodes;
  if (!found->value_->is_object())
    return found->bad("must be an object");
  if (found->value_->size() > max_json_entries)
    return found->bad("has more than {} entries", max_json_entries);
  for (const auto& [key, value] : found->value_->items())
    nodes.emplace_back(key, json_node(value, fmt::format("{}[\"{}\"]", found->path_, key)));
  return nodes;
}

outcome<std::string> json_node::text() const {
  if (!value_->is_string())
    return bad("must be a text");
  auto text = value_->get<std::string>();
  if (text.find('\0') != std::string::npos)
    return bad("must not contain a NUL byte");
  return text;
}

outcome<bool> json_node::flag() const {
  if (!value_->is_boolean())
    return bad("must be true or false");
  return value_->get<bool>();
}

outcome<std::string> json_node::text_of(const char* name) const {
  const auto found = TRY(child(name));
  return found ? found->text() : std::string{};
}

outcome<bool> json_node::flag_of(const char* name) const {
  const auto found = TRY(child(name));
  return found ? found->flag() : false;
}

outcome<std::vector<std::string>> json_node::texts_of(const char* name) const {
  std::vector<std::string> texts;
  for (const auto& node : TRY(list(name)))
    texts.push_back(TRY(node.text()));
  return texts;
}

} // namespace troupe::oci
