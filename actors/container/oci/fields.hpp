#pragma once

#include "actors/container/oci/json.hpp"
#include "actors/container/oci/words.hpp"
#include "oci.pb.h"

#include <string>

/// Steps from a JSON member to a field of the agent's messages; used by parse.cpp and
/// resources.cpp.
namespace troupe::oci {

using texts = google::protobuf::RepeatedPtrField<std::string>;
using text_map = google::protobuf::Map<std::string, std::string>;

/// "linux.devices[0].path".
[[nodiscard]] std::string member_path(const json_node& node, std::string_view name);

/// The text `name`, which must be one of `words`.
[[nodiscard]] outcome<std::string> word_of(const json_node& from, const char* name, word_set words);

/// The text `name`, which must be an absolute path without "..".
[[nodiscard]] outcome<std::string> absolute_path_of(const json_node& from, const char* name);

[[nodiscard]] outcome<void> read_texts(const json_node& from, const char* name, texts& to);
[[nodiscard]] outcome<void> read_words(const json_node& from, const char* name, word_set words,
                                       texts& to);
[[nodiscard]] outcome<void> read_map(const json_node& from, const char* name, text_map& to);

/// The object `linux.resources`.
[[nodiscard]] outcome<void> read_resources(const json_node& from, grpc::LinuxResources& to);

} // namespace troupe::oci
