#include "actors/container/oci/classify.hpp"

#include "actors/container/oci/json.hpp"

#include <optional>

namespace troupe::oci {

namespace {

constexpr std::string_view kind_keys[] = {"io.kubernetes.cri-o.ContainerType",
                                          "io.kubernetes.cri.container-type",
                                          "io.kubernetes.docker.type"};
constexpr std::string_view pod_keys[] = {
    "io.kubernetes.cri-o.SandboxID", "io.kubernetes.cri.sandbox-id", "io.kubernetes.sandbox.id"};

std::optional<container_kind> parse_kind(std::string_view word) {
  if (word == "sandbox" || word == "podsandbox" || word == "pod_sandbox")
    return container_kind::sandbox;
  if (word == "container" || word == "pod_container")
    return container_kind::pod_container;
  if (word == "single_container")
    return container_kind::single;
  return std::nullopt;
}

outcome<sandbox_id> pod_of_container(const annotation_map& annotations) {
  for (const auto key : pod_keys)
    if (const auto found = annotations.find(key); found != annotations.end()) {
      auto pod = sandbox_id::parse(found->second);
      if (!pod)
        return within(fmt::format("annotation {}", key), std::move(pod).error());
      return pod;
    }
  return fail(errc::invalid_argument, "annotations: a container of a pod needs one of: {}",
              fmt::join(pod_keys, ", "));
}

} // namespace

std::string_view name(container_kind kind) noexcept {
  switch (kind) {
  case container_kind::sandbox:
    return "pod_sandbox";
  case container_kind::pod_container:
    return "pod_container";
  case container_kind::single:
    break;
  }
  return "single_container";
}

outcome<membership> classify(const annotation_map& annotations, const container_id& own) {
  membership result{container_kind::single, TRY(sandbox_id::parse(own.str()))};
  for (const auto key : kind_keys) {
    const auto found = annotations.find(key);
    if (found == annotations.end())
      continue;
    const auto kind = parse_kind(found->second);
    if (!kind)
      return fail(errc::invalid_argument, "annotation {}: \"{}\" is no container type", key,
                  found->second);
    result.kind = *kind;
    break;
  }
  if (result.kind == container_kind::pod_container)
    result.pod = TRY(pod_of_container(annotations));
  return result;
}

outcome<annotation_map> read_annotations(std::string_view config_json) {
  const auto document = TRY(parse_json("config.json", config_json));
  annotation_map annotations;
  for (const auto& [key, node] : TRY(json_node(document, "").members("annotations")))
    annotations[key] = TRY(node.text());
  return annotations;
}

} // namespace troupe::oci
