#include "actors/container/oci/classify.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::oci;

namespace {

const container_id own = *container_id::parse("c1");

std::string pod(const annotation_map& annotations) {
  const auto found = classify(annotations, own);
  return found ? fmt::format("{} {}", name(found->kind), found->pod) : found.error().to_string();
}

} // namespace

TEST_CASE("classify: no annotation, a pod of its own") {
  CHECK(pod({}) == "single_container c1");
  CHECK(pod({{"io.kubernetes.cri.sandbox-id", "p1"}}) == "single_container c1");
}

TEST_CASE("classify: each CRI's keys name the pod") {
  CHECK(pod({{"io.kubernetes.cri.container-type", "sandbox"},
             {"io.kubernetes.cri.sandbox-id", "c1"}}) == "pod_sandbox c1");
  CHECK(pod({{"io.kubernetes.cri.container-type", "container"},
             {"io.kubernetes.cri.sandbox-id", "p1"}}) == "pod_container p1");
  CHECK(pod({{"io.kubernetes.cri-o.ContainerType", "container"},
             {"io.kubernetes.cri-o.SandboxID", "p2"}}) == "pod_container p2");
  CHECK(pod({{"io.kubernetes.docker.type", "podsandbox"}}) == "pod_sandbox c1");
  CHECK(pod({{"io.kubernetes.docker.type", "container"}, {"io.kubernetes.sandbox.id", "p3"}}) ==
        "pod_container p3");
}

TEST_CASE("classify: CRI-O's key wins over the others") {
  CHECK(pod({{"io.kubernetes.cri-o.ContainerType", "sandbox"},
             {"io.kubernetes.cri.container-type", "container"}}) == "pod_sandbox c1");
}

TEST_CASE("classify: bad annotations are named") {
  CHECK(pod({{"io.kubernetes.cri.container-type", "jail"}}) ==
        "invalid_argument: annotation io.kubernetes.cri.container-type: \"jail\" is no container "
        "type");
  CHECK(pod({{"io.kubernetes.cri.container-type", "container"}})
            .starts_with("invalid_argument: annotations: a container of a pod needs one of: "));
  CHECK(pod({{"io.kubernetes.cri.container-type", "container"},
             {"io.kubernetes.cri.sandbox-id", "../p"}})
            .starts_with("invalid_argument: annotation io.kubernetes.cri.sandbox-id: "));
}

TEST_CASE("classify: annotations are read from a config.json that holds nothing else of use") {
  const auto found = read_annotations(R"({"annotations": {"a": "1", "b": ""}, "process": 7})");
  REQUIRE(found.has_value());
  CHECK(*found == annotation_map{{"a", "1"}, {"b", ""}});
  CHECK(read_annotations(R"({"annotations": {"a": 1}})").error().text ==
        "annotations[\"a\"]: must be a text");
  CHECK(read_annotations("{").error().text.starts_with("config.json: parse error at line 1"));
}
