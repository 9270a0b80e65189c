#pragma once

#include "messages/vocabulary/ids.hpp"

#include <functional>
#include <map>
#include <string>
#include <string_view>

/// Reading of an OCI bundle: config.json, what of it goes to the guest, and who belongs to which
/// pod.
namespace troupe::oci {

using annotation_map = std::map<std::string, std::string, std::less<>>;

enum class container_kind : std::uint8_t {
  single,        ///< a pod of its own
  sandbox,       ///< the pod's first container
  pod_container, ///< joins a pod that exists
};

/// As Kata's agent knows it: "single_container", "pod_sandbox", "pod_container".
[[nodiscard]] std::string_view name(container_kind kind) noexcept;

struct membership {
  container_kind kind = container_kind::single;
  /// The pod: the own id unless kind is pod_container.
  sandbox_id pod;
};

/// Which pod the container `own` belongs to, by the keys of CRI-O, containerd's CRI and dockershim,
/// in this order. A container without any is a pod of its own.
/// @returns invalid_argument naming the annotation: unknown type, pod container without a pod's id.
[[nodiscard]] outcome<membership> classify(const annotation_map& annotations,
                                           const container_id& own);

/// Only the `annotations` of a config.json; for `start`, which needs no more.
/// @returns as parse_spec() of oci/parse.hpp.
[[nodiscard]] outcome<annotation_map> read_annotations(std::string_view config_json);

} // namespace troupe::oci
