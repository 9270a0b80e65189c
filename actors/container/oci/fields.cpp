#include "actors/container/oci/fields.hpp"

#include <algorithm>

namespace troupe::oci {

namespace {

bool climbs(std::string_view path) {
  for (std::size_t at = 0; at < path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    if (path.substr(at, end - at) == "..")
      return true;
    at = end + 1;
  }
  return false;
}

} // namespace

std::string member_path(const json_node& node, std::string_view name) {
  return node.path().empty() ? std::string(name) : fmt::format("{}.{}", node.path(), name);
}

outcome<std::string> word_of(const json_node& from, const char* name, word_set words) {
  const auto node = TRY(from.need(name));
  auto word = TRY(node.text());
  if (!contains(words, word))
    return node.bad("\"{}\" is not supported", word);
  return word;
}

outcome<std::string> absolute_path_of(const json_node& from, const char* name) {
  const auto node = TRY(from.need(name));
  auto path = TRY(node.text());
  if (!path.starts_with('/') || climbs(path))
    return node.bad("\"{}\" must be an absolute path without \"..\"", path);
  return path;
}

outcome<void> read_texts(const json_node& from, const char* name, texts& to) {
  for (auto& text : TRY(from.texts_of(name)))
    *to.Add() = std::move(text);
  return {};
}

outcome<void> read_words(const json_node& from, const char* name, word_set words, texts& to) {
  for (const auto& node : TRY(from.list(name))) {
    auto word = TRY(node.text());
    if (!contains(words, word))
      return node.bad("\"{}\" is not supported", word);
    *to.Add() = std::move(word);
  }
  return {};
}

outcome<void> read_map(const json_node& from, const char* name, text_map& to) {
  for (const auto& [key, node] : TRY(from.members(name)))
    to[key] = TRY(node.text());
  return {};
}

} // namespace troupe::oci
