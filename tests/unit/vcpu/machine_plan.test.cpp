#include "actors/vcpu/machine_plan.hpp"

#include "actors/vcpu/kernel_params.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using hypervisor::accelerator;
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
  CHECK(plan.machine_type == machine_config{}.machine_type);
  CHECK(plan.cpu_model.empty());
}

TEST_CASE("plan: pages and preallocation are ordinary unless the table says so") {
  const auto plan = planned(both(), builtin);
  CHECK_FALSE(plan.hugepages);
  CHECK_FALSE(plan.prealloc);
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

TEST_CASE("plan: whoever runs it, a machine has the pod's place, a vsock, a share and entropy") {
  for (const auto& chosen : {qemu, builtin, emulating}) {
    const auto plan = planned(both(), chosen);
    CHECK(plan.id == "p1");
    CHECK(plan.token == "token");
    CHECK(plan.run_directory == "/run/troupe/p1");
    REQUIRE(plan.devices.size() == 3);
    CHECK(std::get<hypervisor::vsock_device>(plan.devices[0]).socket_path ==
          "/run/troupe/p1/vsock.vhost");
    const auto& fs = std::get<hypervisor::fs_device>(plan.devices[1]);
    CHECK(fs.socket_path == "/run/troupe/p1/fs.vhost");
    CHECK(fs.tag == "share");
    const auto& rng = std::get<hypervisor::served_device>(plan.devices[2]);
    CHECK(rng.what == hypervisor::served_device::kind::rng);
    CHECK(rng.socket_path == "/run/troupe/p1/rng.vhost");
  }
}

TEST_CASE("plan: disks come last, each with a socket by its name") {
  auto where = place();
  where.disks = {{"/images/a", false, "a"}, {"/images/b", true, ""}};
  const auto plan = plan_machine(both(), qemu, where);
  REQUIRE(plan);
  CHECK(check(*plan));
  REQUIRE(plan->devices.size() == 5);
  const auto& second = std::get<hypervisor::served_device>(plan->devices[4]);
  CHECK(second.what == hypervisor::served_device::kind::blk);
  CHECK(second.id == "disk1");
  CHECK(second.socket_path == "/run/troupe/p1/disk1.vhost");
}

TEST_CASE("plan: a bare payload is told nothing of an agent, and needs no initrd") {
  auto values = both();
  values.builtin.initrd.clear();
  auto where = place();
  CHECK_FALSE(check(plan_machine(values, builtin, where).value()));
  where.bare = true;
  const auto plan = plan_machine(values, builtin, where);
  REQUIRE(plan);
  CHECK(check(*plan));
  CHECK(plan->bare);
  CHECK(plan->kernel_params == "of=builtin");
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
