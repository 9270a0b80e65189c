#include "guest/agent/spec/convert.hpp"

#include <catch2/catch.hpp>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

using namespace troupe;
using namespace troupe::guest;

namespace {

grpc::Spec sound_spec() {
  grpc::Spec spec;
  spec.mutable_process()->add_args("sh");
  spec.mutable_root()->set_path("/run/c1/rootfs");
  return spec;
}

failure refused(const grpc::Spec& spec) {
  const auto plan = to_container_plan(spec, "c1");
  REQUIRE_FALSE(plan);
  return plan.error();
}

} // namespace

TEST_CASE("capability: every spelling of a name is one number, unknown ones are quoted") {
  CHECK(parse_capability("CAP_KILL") == 5u);
  CHECK(parse_capability("kill") == 5u);
  CHECK(parse_capability("\"CAP_CHECKPOINT_RESTORE\"") == 40u);
  const auto bad = parse_capability("CAP_FLY");
  REQUIRE_FALSE(bad);
  CHECK(bad.error().text == "unknown capability 'CAP_FLY'");
}

TEST_CASE(
    "mount options: the kernel's flags, propagation and the file system's own are told apart") {
  const auto options =
      parse_mount_options({"nosuid", "noexec", "rro", "rslave", "size=64k", "rbind", "relatime"});
  REQUIRE(options);
  CHECK(options->set == (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  CHECK(options->clear == MOUNT_ATTR__ATIME);
  CHECK(options->set_all == MOUNT_ATTR_RDONLY);
  CHECK(options->propagation == (MS_SLAVE | MS_REC));
  CHECK(options->bind);
  CHECK(options->bind_all);
  CHECK(options->data == std::vector<std::string>{"size=64k"});
}

TEST_CASE("mount options: the last word about a flag wins") {
  const auto options = parse_mount_options({"ro", "rw", "noatime", "strictatime"});
  REQUIRE(options);
  CHECK(options->set == MOUNT_ATTR_STRICTATIME);
  CHECK(options->clear == (MOUNT_ATTR_RDONLY | MOUNT_ATTR__ATIME));
}

TEST_CASE("mount options: loop, remount, too many and too long are refused") {
  CHECK(parse_mount_options({"loop"}).error().text == "options: 'loop' is not possible here");
  CHECK_FALSE(parse_mount_options({"remount"}));
  CHECK_FALSE(parse_mount_options(std::vector<std::string>(max_mount_options + 1, "ro")));
  CHECK_FALSE(parse_mount_options({std::string(max_mount_option_length + 1, 'x')}));
}

TEST_CASE("container spec: names become numbers") {
  auto spec = sound_spec();
  auto& process = *spec.mutable_process();
  process.mutable_user()->set_uid(1000);
  process.mutable_user()->add_additional_gids(5);
  process.mutable_capabilities()->add_bounding("CAP_CHOWN");
  process.mutable_capabilities()->add_bounding("KILL");
  auto& limit = *process.add_rlimits();
  limit.set_type("RLIMIT_NOFILE");
  limit.set_soft(10);
  limit.set_hard(20);
  for (const auto* type : {"mnt", "uts", "network", "ipc"})
    spec.mutable_linux()->add_namespaces()->set_type(type);
  auto& device = *spec.mutable_linux()->add_devices();
  device.set_path("/dev//fuse");
  device.set_type("c");
  device.set_major(10);
  device.set_minor(229);
  const auto plan = to_container_plan(spec, "c1");
  REQUIRE(plan);
  CHECK(plan->process.uid == 1000);
  CHECK(plan->process.groups == std::vector<gid_t>{5});
  CHECK(plan->process.capabilities->bounding == 0x21);
  CHECK(plan->process.rlimits.at(0).resource == RLIMIT_NOFILE);
  CHECK(plan->process.rlimits.at(0).value.rlim_max == 20);
  CHECK(plan->process.cwd == "/");
  CHECK(plan->namespaces == (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID));
  CHECK(plan->cgroup_path == "c1");
  CHECK(plan->devices.at(0).path == "/dev/fuse");
  CHECK(plan->devices.at(0).mode == (S_IFCHR | 0666));
}

TEST_CASE("container spec: what is wrong is refused by the name of its field") {
  auto spec = sound_spec();
  std::string named;
  SECTION("no process") {
    spec.clear_process();
    named = "process: is missing";
  }
  SECTION("no arguments") {
    spec.mutable_process()->clear_args();
    named = "process.args";
  }
  SECTION("an argument with a NUL byte") {
    spec.mutable_process()->add_args(std::string("a\0b", 3));
    named = "process.args: one holds a NUL byte";
  }
  SECTION("an environment entry without a name") {
    spec.mutable_process()->add_env("=x");
    named = "process.env";
  }
  SECTION("a relative working directory") {
    spec.mutable_process()->set_cwd("tmp");
    named = "process.cwd";
  }
  SECTION("a climbing root") {
    spec.mutable_root()->set_path("/run/../etc");
    named = "root.path: '..'";
  }
  SECTION("an unknown capability") {
    spec.mutable_process()->mutable_capabilities()->add_ambient("CAP_FLY");
    named = "process.capabilities.ambient: unknown capability 'CAP_FLY'";
  }
  SECTION("an unknown limit") {
    spec.mutable_process()->add_rlimits()->set_type("RLIMIT_FUN");
    named = "process.rlimits: unknown limit 'RLIMIT_FUN'";
  }
  const auto why = refused(spec);
  CHECK(why.code == errc::invalid_argument);
  CHECK_THAT(why.text, Catch::StartsWith(named));
}

TEST_CASE("container spec: what is wrong around the process is named too") {
  auto spec = sound_spec();
  std::string named;
  SECTION("an unknown namespace") {
    spec.mutable_linux()->add_namespaces()->set_type("dream");
    named = "linux.namespaces: unknown type 'dream'";
  }
  SECTION("an unknown device type") {
    auto& device = *spec.mutable_linux()->add_devices();
    device.set_path("/dev/x");
    device.set_type("z");
    named = "linux.devices /dev/x: type 'z'";
  }
  SECTION("a mount without a source") {
    auto& mount = *spec.add_mounts();
    mount.set_destination("/data");
    mount.set_type("bind");
    named = "mounts /data: source";
  }
  SECTION("a mount that climbs") {
    spec.add_mounts()->set_destination("/a/../../b");
    named = "mounts.destination: '..'";
  }
  SECTION("a sysctl of the whole guest") {
    (*spec.mutable_linux()->mutable_sysctl())["vm.swappiness"] = "1";
    named = "linux.sysctl: 'vm.swappiness'";
  }
  SECTION("an oom score out of range") {
    spec.mutable_process()->set_oom_score_adj(1001);
    named = "process.oomScoreAdj";
  }
  SECTION("a cgroup outside the root") {
    spec.mutable_linux()->set_cgroups_path("../x");
    named = "linux.cgroupsPath: '..'";
  }
  SECTION("an unknown propagation") {
    spec.mutable_linux()->set_rootfs_propagation("sideways");
    named = "linux.rootfsPropagation: unknown word 'sideways'";
  }
  const auto why = refused(spec);
  CHECK(why.code == errc::invalid_argument);
  CHECK_THAT(why.text, Catch::StartsWith(named));
}

TEST_CASE("container spec: what no guest here can do is unimplemented, not ignored") {
  auto spec = sound_spec();
  SECTION("user namespaces") {
    spec.mutable_linux()->add_namespaces()->set_type("user");
  }
  SECTION("hooks") {
    spec.mutable_hooks()->add_start_container()->set_path("/x");
  }
  CHECK(refused(spec).code == errc::unimplemented);
}

TEST_CASE("container spec: a sysctl is legal when the container has the namespace it belongs to") {
  auto spec = sound_spec();
  (*spec.mutable_linux()->mutable_sysctl())["kernel.shmmax"] = "1";
  CHECK_THAT(refused(spec).text, Catch::Contains("kernel.shmmax"));
  spec.mutable_linux()->add_namespaces()->set_type("ipc");
  const auto plan = to_container_plan(spec, "c1");
  REQUIRE(plan);
  CHECK(plan->sysctls.at(0).first == "kernel/shmmax");
}
