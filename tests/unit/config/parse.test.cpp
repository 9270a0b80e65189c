#include "config/load.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::config;

namespace {

using texts = std::vector<std::string>;

report parsed(const std::string& text) {
  return parse({{"a.toml", text}});
}

} // namespace

TEST_CASE("config: nothing at all gives the defaults without a word") {
  const auto result = parsed("");
  CHECK(result.errors.empty());
  CHECK(result.warnings.empty());
  CHECK(result.values.runtime.hypervisor_name == "auto");
  CHECK(result.values.qemu.default_memory_mib == 2048);
  CHECK_FALSE(result.values.qemu.allow_emulation);
  CHECK(result.values.qemu.enable_annotations.empty());
  CHECK(result.values.runtime.enable_annotations.empty());
}

TEST_CASE("config: each kind of value reaches its member in the right unit") {
  const auto result = parsed(R"(
    [runtime]
    hypervisor_name = "qemu"
    agent_name = "kata"
    enable_debug = true
    stop_timeout_ms = 2500
    [hypervisor.qemu]
    default_vcpus = 2
    default_memory = 512
    valid_kernel_paths = ["/boot/a*", "/boot/b*"]
    [hypervisor.builtin]
    default_vcpus = 3
    default_memory = 1024
    enable_hugepages = true
    enable_mem_prealloc = true
    block_device_aio = "threads"
    allow_emulation = true
    [agent.kata]
    create_container_timeout = 90
    [budgets]
    share_descriptors = 5000
  )");
  CHECK(result.errors == texts{});
  CHECK(result.warnings == texts{});
  const auto& values = result.values;
  CHECK(values.runtime.hypervisor_name == "qemu");
  CHECK(effective_log_level(values.runtime) == "debug");
  CHECK(values.runtime.stop_timeout == milliseconds{2500});
  CHECK(values.qemu.default_vcpus == 2);
  CHECK(values.qemu.default_memory_mib == 512);
  CHECK(values.qemu.valid_kernel_paths == texts{"/boot/a*", "/boot/b*"});
  CHECK_FALSE(values.qemu.allow_emulation);
  CHECK(values.builtin.default_vcpus == 3);
  CHECK(values.builtin.default_memory_mib == 1024);
  CHECK(values.builtin.enable_hugepages);
  CHECK(values.builtin.enable_mem_prealloc);
  CHECK(values.builtin.block_device_aio == "threads");
  CHECK(values.builtin.allow_emulation);
  CHECK(&values.hypervisor("builtin") == &values.builtin);
  CHECK(&values.hypervisor("qemu") == &values.qemu);
  CHECK(values.agent().create_container_timeout == seconds{90});
  CHECK(values.troupe_agent.create_container_timeout == seconds{60});
  CHECK(values.budgets.share_descriptors == 5000);
}

TEST_CASE("config: every violation is reported at once, with file and line, in order") {
  const auto result = parsed("[runtime]\n"
                             "stop_timeout_ms = 1\n"
                             "hypervisor_name = \"xen\"\n"
                             "[hypervisor.qemu]\n"
                             "path = \"qemu\"\n"
                             "default_vcpus = \"two\"\n"
                             "kernel = \"/boot/../x\"\n"
                             "enable_annotations = [\"(\"]\n"
                             "kernel_params = \"a\\nb\"\n"
                             "cpu_model = \"max -x\"\n"
                             "allow_emulation = 1\n"
                             "valid_kernel_paths = \"/boot\"\n"
                             "[hypervisor.builtin]\n"
                             "block_device_aio = \"native\"\n"
                             "default_memory = 63\n");
  CHECK(result.errors ==
        texts{"a.toml:2: runtime.stop_timeout_ms: 1 is not in 100 ... 600000",
              "a.toml:3: runtime.hypervisor_name: \"xen\" is none of: auto, qemu, builtin",
              "a.toml:5: hypervisor.qemu.path: must be an absolute path",
              "a.toml:6: hypervisor.qemu.default_vcpus: must be an integer",
              "a.toml:7: hypervisor.qemu.kernel: must not contain '.' or '..'",
              "a.toml:8: hypervisor.qemu.enable_annotations: \"(\" is no regular expression",
              "a.toml:9: hypervisor.qemu.kernel_params: must not contain control characters",
              "a.toml:10: hypervisor.qemu.cpu_model: may hold letters, digits and _=+,.- only",
              "a.toml:11: hypervisor.qemu.allow_emulation: must be true or false",
              "a.toml:12: hypervisor.qemu.valid_kernel_paths: must be a list of texts",
              "a.toml:14: hypervisor.builtin.block_device_aio: \"native\" is none of: io_uring, "
              "threads",
              "a.toml:15: hypervisor.builtin.default_memory: 63 is not in 64 ... 16777216"});
}

TEST_CASE("config: broken TOML is one error with line and column") {
  const auto result = parsed("[runtime]\nlog_level = \n");
  REQUIRE(result.errors.size() == 1);
  CHECK(result.errors[0].starts_with("a.toml:2:13: "));
}

TEST_CASE("config: an unknown key warns and names the nearest one if there is one near") {
  const auto result = parsed("[runtime]\n"
                             "log_levle = \"info\"\n"
                             "[hypervisor.qemu]\n"
                             "default_memroy = 1\n"
                             "zzz = 1\n"
                             "[hypervisor.builtin]\n"
                             "enable_hugepage = true\n"
                             "[hypervisor.bultin]\n"
                             "[agent.troup]\n"
                             "[runtiem]\n");
  CHECK(result.errors.empty());
  CHECK(result.warnings ==
        texts{"a.toml:2: runtime.log_levle: unknown key; did you mean log_level?",
              "a.toml:4: hypervisor.qemu.default_memroy: unknown key; did you mean default_memory?",
              "a.toml:5: hypervisor.qemu.zzz: unknown key",
              "a.toml:7: hypervisor.builtin.enable_hugepage: unknown key; did you mean "
              "enable_hugepages?",
              "a.toml:8: hypervisor.bultin: unknown table; did you mean builtin?",
              "a.toml:9: agent.troup: unknown table; did you mean troupe?",
              "a.toml:10: runtiem: unknown table; did you mean runtime?"});
}

TEST_CASE("config: Kata's keys that mean nothing here say what they are instead") {
  const auto result = parsed("[hypervisor.qemu]\n"
                             "seccompsandbox = \"on\"\n"
                             "enable_iommu = true\n"
                             "image = \"/x\"\n"
                             "enable_hugepages = true\n"
                             "[agent.kata]\n"
                             "dial_timeout = 3\n"
                             "[hypervisor.builtin]\n"
                             "machine_type = \"q35\"\n"
                             "path = \"/usr/bin/qemu-system-x86_64\"\n"
                             "cpu_features = \"pmu=off\"\n"
                             "seccompsandbox = \"on\"\n"
                             "image = \"/x\"\n"
                             "[hypervisor.dragonball]\n"
                             "anything = 1\n"
                             "[hypervisor.clh]\n");
  CHECK(result.warnings ==
        texts{"a.toml:2: hypervisor.qemu.seccompsandbox: the VMM's seccomp filter is always on",
              "a.toml:3: hypervisor.qemu.enable_iommu: not supported yet",
              "a.toml:4: hypervisor.qemu.image: use initrd",
              "a.toml:5: hypervisor.qemu.enable_hugepages: not supported yet",
              "a.toml:7: agent.kata.dial_timeout: renamed: dial_timeout_ms",
              "a.toml:9: hypervisor.builtin.machine_type: there is one kind of machine",
              "a.toml:10: hypervisor.builtin.path: the VMM is part of the shim; there is no "
              "program to name",
              "a.toml:11: hypervisor.builtin.cpu_features: the guest sees the processor that KVM "
              "offers",
              "a.toml:12: hypervisor.builtin.seccompsandbox: for QEMU only",
              "a.toml:13: hypervisor.builtin.image: use initrd",
              "a.toml:14: hypervisor.dragonball: here the built-in VMM is hypervisor.builtin; the "
              "table is ignored",
              "a.toml:16: hypervisor.clh: not supported yet; the table is ignored"});
}

TEST_CASE("config: a later file wins key by key, and lists are replaced") {
  const auto result =
      parse({{"base.toml",
              "[hypervisor.qemu]\ndefault_vcpus = 2\nvalid_kernel_paths = [\"/a\", \"/b\"]\n"},
             {"10.toml", "[hypervisor.qemu]\nvalid_kernel_paths = [\"/c\"]\n"}});
  CHECK(result.values.qemu.default_vcpus == 2);
  CHECK(result.values.qemu.valid_kernel_paths == texts{"/c"});
  CHECK(result.files == texts{"base.toml", "10.toml"});
}

TEST_CASE("config: sizes are bounded") {
  CHECK(parsed(std::string(max_file_size + 1, '\n')).errors ==
        texts{"a.toml: is larger than 262144 bytes"});
  CHECK(parsed("[runtime]\nfault_plan = \"" + std::string(max_text_length + 1, 'x') + "\"\n")
            .errors == texts{"a.toml:2: runtime.fault_plan: is longer than 4095 bytes"});
  std::string many = "[runtime]\nenable_annotations = [";
  for (std::size_t i = 0; i <= max_list_length; ++i)
    many += "\"a\",";
  CHECK(parsed(many + "]\n").errors ==
        texts{"a.toml:2: runtime.enable_annotations: has more than 256 entries"});
}

TEST_CASE("config: a table where a value belongs, and the other way round") {
  CHECK(parsed("runtime = 1\n").errors == texts{"a.toml:1: runtime: must be a table"});
  CHECK(parsed("[hypervisor]\nqemu = 1\n").errors ==
        texts{"a.toml:2: hypervisor.qemu: must be a table"});
  CHECK(parsed("[runtime.log_level]\n").errors ==
        texts{"a.toml:1: runtime.log_level: must be a text"});
}
