#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "oci.pb.h"

#include <string_view>

namespace troupe::oci {

/// Reads config.json into the form in which the agent takes it; there is no second model. Fields
/// that the agent has no place for are left out.
/// @returns invalid_argument naming the JSON path ("process.args: must not be empty"). Every word
/// of
///   a closed set is checked: a real kata-agent panics on an unknown one, and the shim would wait.
/// Source: OCI runtime specification 1.1, config.md and config-linux.md.
[[nodiscard]] outcome<grpc::Spec> parse_spec(std::string_view config_json);

/// The process object of an exec (Any "types.containerd.io/opencontainers/runtime-spec/1/Process").
[[nodiscard]] outcome<grpc::Process> parse_process(std::string_view json);

/// The resources of an update (Any "….runtime-spec/1/LinuxResources").
[[nodiscard]] outcome<grpc::LinuxResources> parse_resources(std::string_view json);

} // namespace troupe::oci
