#include "actors/vcpu/machine_plan.hpp"

#include "actors/vcpu/kernel_params.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using hypervisor::accelerator;
using hypervisor::disk_engine;
using hypervisor::machine_config;

namespace {

const hypervisor::choice qemu{"qemu", accelerator::tcg, false, 2'600'000, "why"};
const hypervisor::choice builtin{"builtin", accelerator::kvm, false, 2'600'000, "why"};
const hypervisor::choice emulating{"builtin", accelerator::kvm, true, 2'600'000, "why"};

machine_place place() {
  machine_place out;
  out.id = sandbox_id::parse("p1").value();
  out.directory = "/run/troupe/p1";
  out.token = "token";
  out.sockets = {"/run/troupe/p1/vsock", "/run/troupe/p1/fs", "/run/troupe/p1/agent"};
  out.share_tag = "share";
  return out;
}

/// Both tables filled, with nothing in common.
config::config both() {
  config::config values;
  values.qemu.path = "/q/qemu";
  values.qemu.kernel = "/q/vmlinux";
  values.qemu.initrd = "/q/initrd";
  values.qemu.kernel_params = "of=qemu";
  values.qemu.machine_type = "microvm";
  values.qemu.cpu_model = "qemu64";
  values.qemu.cpu_features = "pmu=off";
  values.qemu.default_vcpus = 2;
  values.qemu.default_memory_mib = 256;
  values.builtin.kernel = "/b/vmlinux";
  values.builtin.initrd = "/b/initrd";
  values.builtin.kernel_params = "of=builtin";
  values.builtin.default_vcpus = 3;
  values.builtin.default_memory_mib = 512;
  return values;
}

machine_config planned(const config::config& values, const hypervisor::choice& chosen) {
  const auto plan = plan_machine(values, chosen, place());
  REQUIRE(plan);
  CHECK(check(*plan));
  return *plan;
}

} // namespace

TEST_CASE("plan: QEMU's machine comes from QEMU's table") {
  const auto plan = planned(both(), qemu);
  CHECK(plan.binary == "/q/qemu");
  CHECK(plan.kernel == "/q/vmlinux");
  CHECK(plan.initrd == "/q/initrd");
  CHECK(plan.kernel_params == "agent.log=info agent.log_vport=1025 of=qemu");
  CHECK(plan.machine_type == "microvm");
  CHECK(plan.cpu_model == "qemu64");
  CHECK(plan.cpu_features == "pmu=off");
  CHECK(plan.accel == accelerator::tcg);
  CHECK(plan.vcpus == 2);
  CHECK(plan.max_vcpus == 0);
  CHECK(plan.memory == mib(256));
}

TEST_CASE("plan: the built-in VMM's machine comes from its table") {
  auto values = both();
  values.builtin.enable_hugepages = true;
  values.builtin.enable_mem_prealloc = true;
  values.builtin.block_device_aio = "threads";
  const auto plan = planned(values, builtin);
  CHECK(plan.kernel == "/b/vmlinux");
  CHECK(plan.initrd == "/b/initrd");
  CHECK(plan.kernel_params == "agent.log=info agent.log_vport=1025 of=builtin");
  CHECK(plan.accel == accelerator::kvm);
  CHECK_FALSE(plan.emulated_kvm);
  CHECK(plan.vcpus == 3);
  CHECK(plan.memory == mib(512));
  CHECK(plan.hugepages);
  CHECK(plan.prealloc);
  CHECK(plan.disks == disk_engine::threads);
  CHECK(plan.machine_type == machine_config{}.machine_type);
  CHECK(plan.cpu_model.empty());
}

TEST_CASE("plan: pages, preallocation and disks are ordinary unless the table says so") {
  const auto plan = planned(both(), builtin);
  CHECK_FALSE(plan.hugepages);
  CHECK_FALSE(plan.prealloc);
  CHECK(plan.disks == disk_engine::io_uring);
}

TEST_CASE("plan: a built-in machine has room for the processors that the operator named") {
  const auto [named, room] = GENERATE(
      table<std::uint32_t, std::uint32_t>({{0, 0}, {2, 0}, {3, 0}, {8, 8}, {64, 64}, {255, 64}}));
  auto values = both();
  values.builtin.default_maxvcpus = named;
  CHECK(planned(values, builtin).max_vcpus == room);
  CHECK(planned(values, emulating).max_vcpus == 0);
}

TEST_CASE("plan: where KVM emulates, the kernel is told so before the operator's words") {
  const auto plan = planned(both(), emulating);
  CHECK(plan.emulated_kvm);
  CHECK(plan.kernel_params == "agent.log=info agent.log_vport=1025 " +
                                  kernel_params_for(kvm_kind::emulating, 2'600'000).value() +
                                  " of=builtin");
}

TEST_CASE("plan: where KVM emulates, an unknown clock is a failure and no guess") {
  auto unknown = emulating;
  unknown.tsc_khz = 0;
  const auto plan = plan_machine(both(), unknown, place());
  REQUIRE_FALSE(plan);
  CHECK(plan.error().code == errc::failed_precondition);
}

TEST_CASE("plan: whoever runs it, a machine has the pod's place, one vsock and one share") {
  for (const auto& chosen : {qemu, builtin, emulating}) {
    const auto plan = planned(both(), chosen);
    CHECK(plan.id == "p1");
    CHECK(plan.token == "token");
    CHECK(plan.run_directory == "/run/troupe/p1");
    REQUIRE(plan.devices.size() == 2);
    CHECK(std::get<hypervisor::vsock_device>(plan.devices[0]).socket_path ==
          "/run/troupe/p1/vsock");
    const auto& fs = std::get<hypervisor::fs_device>(plan.devices[1]);
    CHECK(fs.socket_path == "/run/troupe/p1/fs");
    CHECK(fs.tag == "share");
  }
}

TEST_CASE("plan: the choice goes by the name and by each table's own permission") {
  config::config values;
  values.runtime.hypervisor_name = "builtin";
  CHECK(hypervisor_wishes(values).name == "builtin");
  values.qemu.allow_emulation = true;
  CHECK(hypervisor_wishes(values).qemu_emulation);
  CHECK_FALSE(hypervisor_wishes(values).builtin_emulation);
  values.qemu.allow_emulation = false;
  values.builtin.allow_emulation = true;
  CHECK_FALSE(hypervisor_wishes(values).qemu_emulation);
  CHECK(hypervisor_wishes(values).builtin_emulation);
}
