#include "tests/unit/guest/host_agent.hpp"

#include <catch2/catch.hpp>

#include <sys/mount.h>

#include <csignal>
#include <fstream>

/// Known ways out of a container, tried against ours (the numbers are those of the reports).

using namespace troupe;
using namespace troupe::guest::test;

namespace {

namespace fs = std::filesystem;

std::string output_of(const grpc::CreateContainerRequest& request) {
  auto& agent = shared_agent();
  const auto started = agent.run(request);
  INFO((started ? "" : started.error().to_string()));
  REQUIRE(started);
  const auto out = agent.drain(request.container_id());
  (void)agent.wait(request.container_id());
  REQUIRE(agent.remove(request.container_id()));
  return out;
}

/// A container whose /dev comes from outside and holds a link to its passwd file under `name`.
grpc::CreateContainerRequest with_hostile_dev(const std::string& id, const std::string& name) {
  auto& agent = shared_agent();
  const auto dev = agent.dir() / (id + "-dev");
  fs::create_directories(dev / "pts");
  fs::create_symlink("/etc/passwd", dev / name);
  auto request = agent.container(id, "cat /etc/group");
  for (auto& mount : *request.mutable_oci()->mutable_mounts())
    if (mount.destination() == "/dev") {
      mount.set_type("bind");
      mount.set_source(dev.string());
      mount.clear_options();
    }
  return request;
}

} // namespace

TEST_CASE("escape: a container that may make nodes cannot open the disk it made "
          "(CVE-2020-2023)",
          "[root]") {
  auto request = shared_agent().container(
      "d1", "mknod /dev/disk b 7 0 && echo made; head -c 1 /dev/disk 2>&1; "
            "mknod /dev/mem2 c 1 1; head -c 1 /dev/mem2 2>&1; head -c 1 /dev/zero | wc -c");
  const auto out = output_of(request);
  CHECK_THAT(out, Catch::Contains("made\n"));
  CHECK_THAT(out, Catch::Contains("/dev/disk: Operation not permitted"));
  CHECK_THAT(out, Catch::Contains("/dev/mem2: Operation not permitted"));
  CHECK_THAT(out, Catch::EndsWith("1\n"));
}

TEST_CASE("escape: mounts follow links inside the container only (CVE-2021-30465)", "[root]") {
  auto& agent = shared_agent();
  const auto root = agent.rootfs("linkroot");
  const auto outside = agent.dir() / "outside";
  fs::create_directories(outside);
  fs::create_symlink(outside, root / "data"); // dangles inside the container
  auto request = agent.container("d2", "echo x > /data/file; ls /data");
  request.mutable_oci()->mutable_root()->set_path(root.string());
  auto& mount = *request.mutable_oci()->add_mounts();
  mount.set_destination("/data/sub");
  mount.set_type("tmpfs");
  CHECK_THAT(output_of(request), Catch::Contains("file"));
  CHECK(fs::is_empty(outside));
}

TEST_CASE("escape: a root that is reached through a link is refused (CVE-2020-2026)", "[root]") {
  auto& agent = shared_agent();
  fs::create_directory_symlink("/", agent.dir() / "rootlink");
  auto request = agent.container("d3", "true");
  request.mutable_oci()->mutable_root()->set_path((agent.dir() / "rootlink").string());
  const auto created = agent.call("CreateContainer", request);
  REQUIRE_FALSE(created);
  CHECK(created.error().code == errc::invalid_argument);
  CHECK_THAT(created.error().text, Catch::Contains("root.path"));
}

TEST_CASE("escape: no descriptor of the agent leads out, as working directory neither "
          "(CVE-2024-21626)",
          "[root]") {
  auto& agent = shared_agent();
  CHECK(output_of(agent.container("d4", "ls /proc/self/fd | wc -l; ls -l /proc/self/fd | grep -v "
                                        "pipe: | grep -c /proc")) ==
        "4\n0\n"); // in, out, error, and the directory itself
  for (int fd = 3; fd < 24; ++fd) {
    auto request = agent.container("d5", "ls ..");
    request.mutable_oci()->mutable_process()->set_cwd("/proc/self/fd/" + std::to_string(fd));
    CHECK_FALSE(agent.run(request));
  }
  CHECK(agent.leftovers() == std::vector<std::string>{});
}

TEST_CASE("escape: the agent's own binary is out of reach of a container that becomes it "
          "(CVE-2019-5736)",
          "[root]") {
  auto& agent = shared_agent();
  const auto root = agent.rootfs("exeroot");
  fs::create_symlink("/proc/self/exe", root / "bin/evil");
  auto request = agent.container("d6", "sleep 1000");
  request.mutable_oci()->mutable_root()->set_path(root.string());
  REQUIRE(agent.run(request));
  grpc::ExecProcessRequest exec;
  exec.set_container_id("d6");
  exec.set_exec_id("x");
  exec.mutable_process()->add_args("/bin/evil");
  exec.mutable_process()->add_args("--frob");
  // Either nothing runs, or a copy that only prints its usage; writing to it is what must fail.
  (void)agent.call("ExecProcess", exec);
  const auto before = fs::last_write_time(TROUPE_AGENT_BINARY);
  std::ofstream busy{TROUPE_AGENT_BINARY, std::ios::app};
  CHECK_FALSE(busy.is_open()); // ETXTBSY: it runs for as long as there is a guest
  CHECK(fs::last_write_time(TROUPE_AGENT_BINARY) == before);
  REQUIRE(agent.remove("d6"));
}

TEST_CASE("escape: a mask is the guest's null device, whatever the container's is "
          "(CVE-2025-31133)",
          "[root]") {
  auto& agent = shared_agent();
  auto request = with_hostile_dev("m1", "null");
  request.mutable_oci()->mutable_linux()->add_masked_paths("/etc/group");
  const auto root = agent.rootfs("maskroot");
  std::ofstream{root / "etc/group"} << "hidden\n";
  request.mutable_oci()->mutable_root()->set_path(root.string());
  CHECK(output_of(request).empty());
}

TEST_CASE("escape: a console that is a link is refused (CVE-2025-52565)", "[root]") {
  auto& agent = shared_agent();
  auto request = with_hostile_dev("m2", "console");
  request.mutable_oci()->mutable_process()->set_terminal(true);
  const auto created = agent.call("CreateContainer", request);
  REQUIRE_FALSE(created);
  CHECK_THAT(created.error().text, Catch::Contains("/dev/console"));
  CHECK(agent.leftovers() == std::vector<std::string>{});
}

TEST_CASE("escape: a container sees its own cgroup as the root and cannot leave it", "[root]") {
  auto request = shared_agent().container("d7", "grep ^0 /proc/self/cgroup");
  CHECK(output_of(request) == "0::/\n");
}

TEST_CASE("escape: a filter on system calls holds, for an exec too", "[root]") {
  auto& agent = shared_agent();
  const bool no_new_privileges = GENERATE(true, false);
  const std::string tried = no_new_privileges ? "/tmp/tried" : "/tmp/tried-again";
  auto request = agent.container("d8", "mkdir /tmp/a 2>&1; : >" + tried + "; sleep 1000");
  auto& seccomp = *request.mutable_oci()->mutable_linux()->mutable_seccomp();
  seccomp.set_default_action("SCMP_ACT_ALLOW");
  auto& rule = *seccomp.add_syscalls();
  rule.add_names("mkdir");
  rule.add_names("mkdirat");
  rule.set_action("SCMP_ACT_ERRNO");
  request.mutable_oci()->mutable_process()->set_no_new_privileges(no_new_privileges);
  REQUIRE(agent.run(request));
  grpc::ExecProcessRequest exec;
  exec.set_container_id("d8");
  exec.set_exec_id("x");
  const auto after_the_first = "until test -e " + tried + "; do sleep 0.01; done; mkdir /tmp/b";
  for (const auto* word : {"/bin/sh", "-c", after_the_first.c_str()})
    exec.mutable_process()->add_args(word);
  REQUIRE(agent.call("ExecProcess", exec));
  CHECK_THAT(agent.drain("d8", "x", "ReadStderr"), Catch::Contains("Operation not permitted"));
  CHECK(agent.wait("d8", "x") == 1);
  REQUIRE(agent.signal("d8", "", SIGKILL));
  CHECK_THAT(agent.drain("d8"), Catch::Contains("Operation not permitted"));
  REQUIRE(agent.remove("d8"));
}
