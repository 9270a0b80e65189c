#include "actors/container/oci/to_guest.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::oci;

namespace {

guest_options options() {
  guest_options made;
  made.container = *container_id::parse("c1");
  made.bundle = "/run/bundle";
  return made;
}

guest_container rewritten(const grpc::Spec& spec, const guest_options& with = options()) {
  auto result = to_guest(spec, with);
  if (!result)
    FAIL(result.error().text);
  return *std::move(result);
}

grpc::Mount mount(const char* destination, const char* type, const char* source,
                  const std::vector<std::string>& with = {}) {
  grpc::Mount made;
  made.set_destination(destination);
  made.set_type(type);
  made.set_source(source);
  for (const auto& option : with)
    made.add_options(option);
  return made;
}

grpc::Spec with_mount(const grpc::Mount& one) {
  grpc::Spec spec;
  *spec.add_mounts() = one;
  return spec;
}

void add_namespace(grpc::Spec& spec, const char* type, const char* path = "") {
  auto& one = *spec.mutable_linux()->add_namespaces();
  one.set_type(type);
  one.set_path(path);
}

std::string namespaces(const grpc::Spec& spec) {
  std::string all;
  for (const auto& one : spec.linux().namespaces())
    all += one.type() + (one.path().empty() ? " " : "=" + one.path() + " ");
  return all;
}

void add_rule(grpc::Spec& spec, bool allow, const char* type, int major, int minor) {
  auto& rule = *spec.mutable_linux()->mutable_resources()->add_devices();
  rule.set_allow(allow);
  rule.set_type(type);
  rule.set_major(major);
  rule.set_minor(minor);
}

} // namespace

TEST_CASE("to_guest: the root file system and the cgroup are the guest's") {
  grpc::Spec spec;
  spec.mutable_root()->set_path("/var/lib/x");
  spec.mutable_linux()->set_cgroups_path("system.slice:cri:c1");
  const auto guest = rewritten(spec);
  CHECK(guest.spec.root().path() == "/run/kata-containers/shared/containers/c1/rootfs");
  CHECK(rootfs_name(options().container) == "c1/rootfs");
  CHECK(guest.spec.linux().cgroups_path() == "/c1");
  CHECK(guest.shares.empty());
  CHECK(guest.notes.empty());
}

TEST_CASE("to_guest: namespaces lose paths; network, time and pid are the pod's or the agent's") {
  grpc::Spec spec;
  add_namespace(spec, "pid");
  add_namespace(spec, "network", "/var/run/netns/x");
  add_namespace(spec, "ipc", "/proc/7/ns/ipc");
  add_namespace(spec, "time");
  add_namespace(spec, "mount");
  const auto guest = rewritten(spec);
  CHECK(namespaces(guest.spec) == "ipc mount ");
  CHECK_FALSE(guest.sandbox_pidns);
}

TEST_CASE("to_guest: a joined pid namespace is told apart, a missing mount namespace is added") {
  grpc::Spec spec;
  add_namespace(spec, "pid", "/proc/7/ns/pid");
  const auto guest = rewritten(spec);
  CHECK(guest.sandbox_pidns);
  CHECK(namespaces(guest.spec) == "mount ");
}

TEST_CASE("to_guest: a user namespace needs its mappings") {
  grpc::Spec spec;
  add_namespace(spec, "user");
  CHECK(to_guest(spec, options()).error().text ==
        "linux.uidMappings: a user namespace needs uid and gid mappings");
  spec.mutable_linux()->add_uid_mappings()->set_size(1);
  spec.mutable_linux()->add_gid_mappings()->set_size(1);
  CHECK(namespaces(rewritten(spec).spec) == "user mount ");
}

TEST_CASE("to_guest: a bind mount of a host file becomes a share under the container's name") {
  const auto guest =
      rewritten(with_mount(mount("/etc/hosts", "bind", "/srv/hosts", {"rbind", "ro", "rprivate"})));
  REQUIRE(guest.shares.size() == 1);
  CHECK(guest.shares[0].field == "mounts[0] (/etc/hosts)");
  CHECK(guest.shares[0].source == "/srv/hosts");
  CHECK(guest.shares[0].name == "c1/mounts/0");
  CHECK(guest.shares[0].read_only);
  CHECK(guest.shares[0].recursive);
  CHECK(guest.spec.mounts(0).source() == "/run/kata-containers/shared/containers/c1/mounts/0");
  CHECK(guest.spec.mounts(0).options_size() == 3);
}

TEST_CASE("to_guest: a relative bind source starts at the bundle") {
  const auto guest = rewritten(with_mount(mount("/data", "none", "vol/../data", {"bind"})));
  REQUIRE(guest.shares.size() == 1);
  CHECK(guest.shares[0].source == "/run/bundle/data");
  CHECK_FALSE(guest.shares[0].read_only);
  CHECK_FALSE(guest.shares[0].recursive);
  CHECK(guest.spec.mounts(0).type() == "bind");
}

TEST_CASE("to_guest: kernel paths of the host are the guest's own, however they are spelled") {
  const auto source = GENERATE("/proc", "/sys/fs/cgroup", "/dev/fuse", "/tmp/../proc/1", "//sys");
  const auto guest = rewritten(with_mount(mount("/x", "bind", source, {"bind"})));
  CHECK(guest.shares.empty());
}

TEST_CASE("to_guest: a name that only begins like a kernel path is shared") {
  const auto source = GENERATE("/processes", "/devices", "/dev/shm/x", "/system");
  CHECK(rewritten(with_mount(mount("/x", "bind", source, {"bind"}))).shares.size() == 1);
}

TEST_CASE("to_guest: a bound /dev/shm is the pod's, one of tmpfs stays the container's") {
  const auto bound = rewritten(with_mount(mount("/dev/shm", "bind", "/run/shm", {"rbind"})));
  CHECK(bound.shares.empty());
  CHECK(bound.uses_sandbox_shm);
  CHECK(bound.spec.mounts(0).source() == "/run/kata-containers/sandbox/shm");
  const auto own = rewritten(with_mount(mount("/dev/shm", "tmpfs", "shm", {"size=65536k"})));
  CHECK_FALSE(own.uses_sandbox_shm);
  CHECK(own.spec.mounts(0).options(0) == "size=65536k");
}

TEST_CASE("to_guest: a file system that needs the host's disks is refused by name") {
  const auto result = to_guest(with_mount(mount("/data", "ext4", "/dev/sda1")), options());
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code == errc::unimplemented);
  CHECK(result.error().text == "mounts[0] (/data): type \"ext4\" cannot be mounted in the guest");
}

TEST_CASE("to_guest: an empty source and too many mounts are refused") {
  CHECK(to_guest(with_mount(mount("/x", "bind", "")), options()).error().text ==
        "mounts[0] (/x): source must not be empty");
  grpc::Spec spec;
  for (int i = 0; i < 1025; ++i)
    *spec.add_mounts() = mount("/x", "tmpfs", "tmpfs");
  CHECK(to_guest(spec, options()).error().text == "mounts: more than 1024 entries");
}

TEST_CASE("to_guest: device rules of real host devices are left out, denials and wildcards stay") {
  grpc::Spec spec;
  add_rule(spec, false, "a", -1, -1);
  add_rule(spec, true, "c", 1, 3);
  add_rule(spec, true, "c", 136, -1);
  add_rule(spec, true, "b", 8, 0);
  add_rule(spec, true, "c", -1, -1);
  add_rule(spec, false, "b", 8, 16);
  const auto guest = rewritten(spec);
  REQUIRE(guest.spec.linux().resources().devices_size() == 5);
  CHECK(guest.notes ==
        std::vector<std::string>{
            "linux.resources.devices: rule b 8:0 names a host device and is left out"});
}

TEST_CASE("to_guest: a block device with the numbers of /dev/null is no /dev/null") {
  grpc::Spec spec;
  add_rule(spec, true, "b", 1, 3);
  auto& device = *spec.mutable_linux()->add_devices();
  device.set_path("/dev/fake");
  device.set_type("b");
  device.set_major(1);
  device.set_minor(3);
  const auto guest = rewritten(spec);
  CHECK(guest.spec.linux().resources().devices().empty());
  CHECK(guest.spec.linux().devices().empty());
  CHECK(guest.notes.size() == 2);
}

TEST_CASE("to_guest: device nodes of the host are left out, common ones stay") {
  grpc::Spec spec;
  for (const auto& [path, major, minor] :
       {std::tuple{"/dev/fuse", 10, 229}, {"/dev/nvidia0", 195, 0}}) {
    auto& device = *spec.mutable_linux()->add_devices();
    device.set_path(path);
    device.set_type("c");
    device.set_major(major);
    device.set_minor(minor);
  }
  const auto guest = rewritten(spec);
  REQUIRE(guest.spec.linux().devices_size() == 1);
  CHECK(guest.spec.linux().devices(0).path() == "/dev/fuse");
  CHECK(guest.notes == std::vector<std::string>{
                           "linux.devices: /dev/nvidia0 is a device of the host and is left out"});
}

TEST_CASE("to_guest: limits that belong to the host stay there") {
  grpc::Spec spec;
  auto& limits = *spec.mutable_linux()->mutable_resources();
  limits.mutable_cpu()->set_cpus("0-3");
  limits.mutable_cpu()->set_quota(50000);
  limits.mutable_block_io()->set_weight(10);
  limits.mutable_network()->set_class_id(1);
  limits.mutable_pids()->set_limit(64);
  const auto guest = rewritten(spec);
  const auto& kept = guest.spec.linux().resources();
  CHECK(kept.cpu().cpus().empty());
  CHECK(kept.cpu().quota() == 50000);
  CHECK_FALSE(kept.has_block_io());
  CHECK_FALSE(kept.has_network());
  CHECK(kept.pids().limit() == 64);
}

TEST_CASE("to_guest: of the hooks only those of the guest stay") {
  grpc::Spec spec;
  spec.mutable_hooks()->add_prestart()->set_path("/bin/host");
  spec.mutable_hooks()->add_start_container()->set_path("/bin/guest");
  const auto guest = rewritten(spec);
  CHECK(guest.spec.hooks().prestart().empty());
  CHECK(guest.spec.hooks().start_container(0).path() == "/bin/guest");
  CHECK(guest.notes ==
        std::vector<std::string>{"hooks: 1 that would run on the host are left out"});
}

TEST_CASE("to_guest: labels of security modules go, seccomp only if the operator says so") {
  grpc::Spec spec;
  spec.mutable_process()->set_apparmor_profile("default");
  spec.mutable_process()->set_selinux_label("x");
  spec.mutable_linux()->set_mount_label("x");
  spec.mutable_linux()->mutable_seccomp()->set_default_action("SCMP_ACT_ALLOW");
  const auto kept = rewritten(spec);
  CHECK(kept.spec.process().apparmor_profile().empty());
  CHECK(kept.spec.process().selinux_label().empty());
  CHECK(kept.spec.linux().mount_label().empty());
  CHECK(kept.spec.linux().has_seccomp());
  auto without = options();
  without.disable_guest_seccomp = true;
  CHECK_FALSE(rewritten(spec, without).spec.linux().has_seccomp());
}

TEST_CASE("to_guest: the agent is told the container's kind and bundle") {
  auto with = options();
  with.kind = container_kind::pod_container;
  const auto guest = rewritten(grpc::Spec{}, with);
  CHECK(guest.spec.annotations().at("io.katacontainers.pkg.oci.container_type") == "pod_container");
  CHECK(guest.spec.annotations().at("io.katacontainers.pkg.oci.bundle_path") == "/run/bundle");
}

TEST_CASE("to_guest: the process of an exec and the limits of an update are rewritten alike") {
  grpc::Process process;
  process.set_apparmor_profile("default");
  process.add_args("id");
  CHECK(to_guest(process).apparmor_profile().empty());
  CHECK(to_guest(process).args(0) == "id");
  grpc::LinuxResources limits;
  limits.mutable_cpu()->set_mems("0");
  limits.mutable_memory()->set_limit(1 << 20);
  CHECK(to_guest(limits).cpu().mems().empty());
  CHECK(to_guest(limits).memory().limit() == 1 << 20);
}
