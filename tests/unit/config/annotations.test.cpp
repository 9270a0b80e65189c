#include "config/annotations.hpp"
#include "config/keys.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::config;

namespace {

using texts = std::vector<std::string>;
constexpr host_limits host{4, 8192};

const std::string hypervisor = "io.katacontainers.config.hypervisor.";
const std::string runtime = "io.katacontainers.config.runtime.";
const std::string agent = "io.troupe.config.agent.";

config::config allowing(const texts& hypervisor_keys, const texts& runtime_keys = {}) {
  config::config values;
  values.qemu.enable_annotations = hypervisor_keys;
  values.runtime.enable_annotations = runtime_keys;
  return values;
}

failure refused(config::config values, const annotation_map& annotations) {
  const auto result = apply_annotations(values, annotations, host);
  REQUIRE_FALSE(result.has_value());
  return result.error();
}

} // namespace

TEST_CASE("annotations: nothing is allowed unless the operator says so") {
  const auto why = refused({}, {{hypervisor + "default_vcpus", "2"}});
  CHECK(why.code == errc::permission_denied);
  CHECK(why.text == "annotation io.katacontainers.config.hypervisor.default_vcpus: not allowed by "
                    "enable_annotations");
  CHECK(refused(allowing({".*"}), {{runtime + "disable_guest_seccomp", "true"}}).code ==
        errc::permission_denied);
  CHECK(refused(allowing({".*"}, {".*"}), {{"io.troupe.config.budgets.share_threads", "2"}}).code ==
        errc::permission_denied);
}

TEST_CASE("annotations: no key hands words on to a program, whatever is allowed") {
  for (const auto* key : {"virtio_fs_extra_args", "path_list", "block_device_driver"}) {
    auto values = allowing({".*"});
    const auto notes =
        apply_annotations(values, {{hypervisor + key, "[\"-o\", \"source=/\"]"}}, host);
    REQUIRE(notes);
    REQUIRE(notes->size() == 1);
    CHECK(notes->front().find(key) != std::string::npos);
    for (const auto& row : qemu_keys())
      if (const auto* const text = std::get_if<std::string hypervisor_config::*>(&row.where))
        CHECK((values.qemu.**text).find("source=/") == std::string::npos);
  }
}

TEST_CASE("annotations: others' are none of our business") {
  config::config values;
  CHECK(apply_annotations(values, {{"io.kubernetes.cri.container-type", "sandbox"}}, host) ==
        texts{});
}

TEST_CASE("annotations: a pattern opens whole keys only") {
  CHECK(refused(allowing({"kernel"}), {{hypervisor + "kernel_params", "quiet"}}).code ==
        errc::permission_denied);
  auto values = allowing({"kernel_.*"});
  REQUIRE(apply_annotations(values, {{hypervisor + "kernel_params", "quiet"}}, host));
  CHECK(values.qemu.kernel_params == "quiet");
}

TEST_CASE("annotations: allowed values arrive, kernel parameters are added") {
  auto values = allowing({"default_.*", "kernel_params", "machine_type"},
                         {"create_container_timeout", "hypervisor_name"});
  values.qemu.kernel_params = "a=1";
  REQUIRE(apply_annotations(values,
                            {{hypervisor + "default_vcpus", "3"},
                             {hypervisor + "default_memory", "2Gi"},
                             {hypervisor + "kernel_params", "b=2"},
                             {hypervisor + "machine_type", "microvm"},
                             {runtime + "hypervisor_name", "qemu"},
                             {agent + "create_container_timeout", "5"}},
                            host));
  CHECK(values.qemu.default_vcpus == 3);
  CHECK(values.qemu.default_memory_mib == 2048);
  CHECK(values.qemu.kernel_params == "a=1 b=2");
  CHECK(values.qemu.machine_type == "microvm");
  CHECK(values.runtime.hypervisor_name == "qemu");
  CHECK(values.troupe_agent.create_container_timeout == seconds{5});
  CHECK(values.kata_agent.create_container_timeout == seconds{5});
}

TEST_CASE("annotations: sizes stop at the operator's ceiling, else at the host's") {
  auto values = allowing({".*"});
  CHECK(
      refused(values, {{hypervisor + "default_vcpus", "5"}}).text.ends_with("5 is not in 1 ... 4"));
  CHECK(refused(values, {{hypervisor + "default_memory", "16Gi"}})
            .text.ends_with("16384 is not in 64 ... 8192"));
  values.qemu.default_maxmemory_mib = 1024;
  CHECK(refused(values, {{hypervisor + "default_memory", "2048"}})
            .text.ends_with("2048 is not in 64 ... 1024"));
  CHECK(refused(values, {{hypervisor + "default_memory", "99999999999999Ti"}})
            .text.ends_with("is too much"));
  CHECK(refused(values, {{hypervisor + "default_memory", "-1"}}).code == errc::invalid_argument);
}

TEST_CASE("annotations: memory is taken in every usual unit") {
  const auto [text, mib] = GENERATE(table<std::string, std::uint32_t>({{"512", 512},
                                                                       {"512Mi", 512},
                                                                       {"1Gi", 1024},
                                                                       {"1048576Ki", 1024},
                                                                       {"1G", 953},
                                                                       {"1000M", 953}}));
  auto values = allowing({".*"});
  REQUIRE(apply_annotations(values, {{hypervisor + "default_memory", text}}, host));
  CHECK(values.qemu.default_memory_mib == mib);
}

TEST_CASE("annotations: a host path needs a glob besides the permission") {
  auto values = allowing({".*"});
  for (const auto* const key : {"path", "kernel", "initrd"})
    CHECK(refused(values, {{hypervisor + key, "/etc/shadow"}}).code == errc::permission_denied);
  values.qemu.valid_kernel_paths = {"/boot/*"};
  REQUIRE(apply_annotations(values, {{hypervisor + "kernel", "/boot/vmlinux"}}, host));
  CHECK(values.qemu.kernel == "/boot/vmlinux");
  CHECK(refused(values, {{hypervisor + "kernel", "/boot/sub/vmlinux"}}).code ==
        errc::permission_denied);
  CHECK(refused(values, {{hypervisor + "kernel", "/boot/../etc/shadow"}}).code ==
        errc::invalid_argument);
}

TEST_CASE("annotations: what is the operator's alone stays so") {
  for (const auto* const key :
       {"valid_hypervisor_paths", "enable_annotations", "allow_emulation", "default_maxvcpus"})
    CHECK(refused(allowing({".*"}), {{hypervisor + key, "true"}})
              .text.ends_with("cannot be set by an annotation"));
  CHECK(refused(allowing({}, {".*"}), {{runtime + "state_dir", "/etc"}})
            .text.ends_with("cannot be set by an annotation"));
}

TEST_CASE("annotations: no text reaches a command line unparsed") {
  const auto values = allowing({".*"});
  CHECK(refused(values, {{hypervisor + "cpu_features", "x -drive file=/etc/shadow"}}).code ==
        errc::invalid_argument);
  CHECK(refused(values, {{hypervisor + "machine_type", "q35,smm=on"}}).code ==
        errc::invalid_argument);
  CHECK(refused(values, {{hypervisor + "kernel_params", "a\nb"}}).code == errc::invalid_argument);
}

TEST_CASE("annotations: all refusals come at once and nothing is changed") {
  auto values = allowing({"default_.*"});
  const auto result = apply_annotations(values,
                                        {{hypervisor + "default_memory", "1024"},
                                         {hypervisor + "default_vcpus", "many"},
                                         {hypervisor + "path", "/bin/sh"}},
                                        host);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code == errc::permission_denied);
  CHECK(result.error().text.find("hypervisor.path: not allowed") != std::string::npos);
  CHECK(result.error().text.find("default_vcpus: \"many\" is no number") != std::string::npos);
  CHECK(values.qemu.default_memory_mib == 2048);
}

TEST_CASE("annotations: an allowed key that means nothing here only warns") {
  auto values = allowing({".*"});
  CHECK(apply_annotations(values,
                          {{hypervisor + "enable_iommu", "true"}, {hypervisor + "nonsense", "1"}},
                          host) ==
        texts{"annotation io.katacontainers.config.hypervisor.enable_iommu: not supported yet",
              "annotation io.katacontainers.config.hypervisor.nonsense: unknown key"});
}

TEST_CASE("annotations: those of the hypervisor count for the one that is named") {
  auto values = allowing({".*"}, {"hypervisor_name"});
  values.runtime.hypervisor_name = "builtin";
  CHECK(refused(values, {{hypervisor + "default_vcpus", "2"}})
            .text.ends_with("default_vcpus: not allowed by enable_annotations"));
  values.builtin.enable_annotations = {"default_vcpus", "enable_hugepages", "machine_type"};
  CHECK(apply_annotations(values,
                          {{hypervisor + "default_vcpus", "2"},
                           {hypervisor + "enable_hugepages", "true"},
                           {hypervisor + "machine_type", "microvm"}},
                          host) ==
        texts{"annotation io.katacontainers.config.hypervisor.machine_type: there is one kind of "
              "machine"});
  CHECK(values.builtin.default_vcpus == 2);
  CHECK(values.builtin.enable_hugepages);
  CHECK(values.qemu.default_vcpus == 1);
  CHECK(values.qemu.machine_type == "q35");
}

TEST_CASE("annotations: the hypervisor that an annotation names is the one they count for") {
  auto values = allowing({}, {"hypervisor_name"});
  values.builtin.enable_annotations = {"default_vcpus"};
  values.runtime.hypervisor_name = "qemu";
  REQUIRE(apply_annotations(
      values, {{hypervisor + "default_vcpus", "2"}, {runtime + "hypervisor_name", "builtin"}},
      host));
  CHECK(values.builtin.default_vcpus == 2);
  CHECK(values.qemu.default_vcpus == 1);
}

TEST_CASE("annotations: with \"auto\" each table takes what it allows, within its own bounds") {
  auto values = allowing({"default_.*", "machine_type", "kernel"});
  values.builtin.enable_annotations = {"default_.*", "enable_hugepages"};
  CHECK(apply_annotations(values,
                          {{hypervisor + "default_vcpus", "2"},
                           {hypervisor + "enable_hugepages", "true"},
                           {hypervisor + "machine_type", "microvm"}},
                          host) ==
        texts{"annotation io.katacontainers.config.hypervisor.enable_hugepages: "
              "hypervisor.qemu: not allowed by enable_annotations",
              "annotation io.katacontainers.config.hypervisor.machine_type: "
              "hypervisor.builtin: not allowed by enable_annotations"});
  CHECK(values.builtin.default_vcpus == 2);
  CHECK(values.qemu.default_vcpus == 2);
  CHECK(values.builtin.enable_hugepages);
  CHECK(values.qemu.machine_type == "microvm");
  CHECK(values.builtin.machine_type == "q35");
  values.builtin.default_maxvcpus = 2;
  CHECK(
      refused(values, {{hypervisor + "default_vcpus", "3"}}).text.ends_with("3 is not in 1 ... 2"));
}

TEST_CASE("annotations: with \"auto\" what no table allows is denied, by each for its reason") {
  auto values = allowing({".*"});
  values.builtin.enable_annotations = {"kernel"};
  values.builtin.valid_kernel_paths = {"/boot/*"};
  CHECK(refused(values, {{hypervisor + "kernel", "/etc/shadow"}})
            .text.ends_with("kernel: /etc/shadow matches none of the configured valid paths"));
  CHECK(refused(values, {{hypervisor + "enable_debug", "true"}})
            .text.ends_with("enable_debug: hypervisor.builtin: not allowed by enable_annotations, "
                            "hypervisor.qemu: cannot be set by an annotation"));
  CHECK(apply_annotations(values, {{hypervisor + "kernel", "/boot/vmlinux"}}, host) ==
        texts{"annotation io.katacontainers.config.hypervisor.kernel: hypervisor.qemu: "
              "/boot/vmlinux matches none of the configured valid paths"});
  CHECK(values.builtin.kernel == "/boot/vmlinux");
  CHECK(values.qemu.kernel == "/usr/share/troupe/vmlinux");
}
