#include "tests/unit/guest/host_agent.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using namespace troupe;
using namespace troupe::guest::test;

namespace {

grpc::ExecProcessRequest exec(const std::string& id, const std::string& exec,
                              const std::string& script) {
  grpc::ExecProcessRequest request;
  request.set_container_id(id);
  request.set_exec_id(exec);
  for (const auto* word : {"sh", "-c"})
    request.mutable_process()->add_args(word);
  request.mutable_process()->add_args(script);
  request.mutable_process()->add_env("PATH=/bin");
  request.mutable_process()->set_cwd("/");
  return request;
}

grpc::WriteStreamRequest input(const std::string& id, const std::string& exec,
                               const std::string& data) {
  grpc::WriteStreamRequest request;
  request.set_container_id(id);
  request.set_exec_id(exec);
  request.set_data(data);
  return request;
}

/// Runs a script to its end and gives back what it said.
std::string said(const grpc::CreateContainerRequest& request, int expected = 0) {
  auto& agent = shared_agent();
  const auto& id = request.container_id();
  const auto started = agent.run(request);
  INFO((started ? "" : started.error().to_string()));
  REQUIRE(started);
  const auto out = agent.drain(id);
  INFO(agent.drain(id, "", "ReadStderr"));
  CHECK(agent.wait(id) == expected);
  REQUIRE(agent.remove(id));
  CHECK(agent.leftovers().empty());
  return out;
}

} // namespace

TEST_CASE("agent: a container's streams and exit code come back, and nothing is left", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(agent.container("c1", "echo out; echo err >&2; exit 7")));
  CHECK(agent.drain("c1") == "out\n");
  CHECK(agent.drain("c1", "", "ReadStderr") == "err\n");
  CHECK(agent.wait("c1") == 7);
  REQUIRE(agent.remove("c1"));
  CHECK(agent.leftovers() == std::vector<std::string>{});
  CHECK(agent.remove("c1").error().code == errc::not_found);
}

TEST_CASE("agent: without keep a second wait is not_found, with it the status stays", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(agent.container("c2", "exit 3")));
  CHECK(agent.wait("c2", "", true) == 3);
  CHECK(agent.wait("c2", "", true) == 3);
  CHECK(agent.wait("c2") == 3);
  grpc::WaitProcessRequest again;
  again.set_container_id("c2");
  CHECK(agent.call("WaitProcess", again).error().code == errc::not_found);
  REQUIRE(agent.remove("c2"));
}

TEST_CASE("agent: concurrent waiters all get the code", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(agent.container("c3", "read x; exit 4")));
  grpc::WaitProcessRequest request;
  request.set_container_id("c3");
  auto first = agent.start("WaitProcess", request.SerializeAsString());
  auto second = agent.start("WaitProcess", request.SerializeAsString());
  REQUIRE(agent.call("WriteStdin", input("c3", "", "go\n")));
  for (auto* pending : {&first, &second}) {
    grpc::WaitProcessResponse response;
    response.ParseFromString(pending->get().value());
    CHECK(response.status() == 4);
    CHECK(response.exited_at_ns() > 0);
  }
  REQUIRE(agent.remove("c3"));
}

TEST_CASE("agent: input is delivered, and an empty write ends it", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(agent.container("c4", "cat; echo done")));
  REQUIRE(agent.call("WriteStdin", input("c4", "", "hello ")));
  REQUIRE(agent.call("WriteStdin", input("c4", "", "")));
  CHECK(agent.drain("c4") == "hello done\n");
  CHECK(agent.call("WriteStdin", input("c4", "", "x")).error().code == errc::failed_precondition);
  REQUIRE(agent.remove("c4"));
}

TEST_CASE("agent: ten megabytes printed right before the exit arrive whole", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(agent.container("c5", "dd if=/dev/zero bs=1024 count=10240 2>/dev/null")));
  CHECK(agent.drain("c5").size() == 10u * 1024 * 1024);
  CHECK(agent.wait("c5") == 0);
  REQUIRE(agent.remove("c5"));
}

TEST_CASE("agent: a reader that names offsets reads the same bytes again", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(agent.container("c6", "echo abcdef")));
  grpc::ReadStreamRequest request;
  request.set_container_id("c6");
  request.set_len(3);
  request.set_offset(0);
  CHECK(agent.ask<grpc::ReadStreamResponse>("ReadStdout", request).data() == "abc");
  CHECK(agent.ask<grpc::ReadStreamResponse>("ReadStdout", request).data() == "abc");
  request.set_offset(3);
  request.set_len(100);
  CHECK(agent.ask<grpc::ReadStreamResponse>("ReadStdout", request).data() == "def\n");
  request.set_offset(7);
  CHECK(agent.ask<grpc::ReadStreamResponse>("ReadStdout", request).data().empty());
  request.set_offset(0);
  CHECK(agent.call("ReadStdout", request).error().code == errc::failed_precondition);
  REQUIRE(agent.remove("c6"));
}

TEST_CASE("agent: kill answers while other calls wait, and ends the container", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(agent.container("c7", "sleep 1000 & sleep 1000")));
  grpc::ReadStreamRequest read;
  read.set_container_id("c7");
  read.set_len(10);
  auto blocked = agent.start("ReadStdout", read.SerializeAsString());
  REQUIRE(agent.signal("c7", "", SIGKILL));
  CHECK(agent.wait("c7") == 137);
  REQUIRE(blocked.get());
  REQUIRE(agent.remove("c7"));
  CHECK(agent.leftovers() == std::vector<std::string>{});
}

TEST_CASE("agent: SIGTERM ends an init that does not handle it", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(agent.container("c8", "exec sleep 1000")));
  REQUIRE(agent.signal("c8", "c8", SIGTERM));
  CHECK(agent.wait("c8") == 137);
  REQUIRE(agent.remove("c8"));
}

TEST_CASE("agent: SIGTERM reaches an init that handles it", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(
      agent.container("c9", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done")));
  grpc::ReadStreamRequest read;
  read.set_container_id("c9");
  read.set_len(10);
  CHECK(agent.ask<grpc::ReadStreamResponse>("ReadStdout", read).data() == "up\n");
  REQUIRE(agent.signal("c9", "", SIGTERM));
  CHECK(agent.wait("c9") == 5);
  REQUIRE(agent.remove("c9"));
}

TEST_CASE("agent: an exec joins the container's namespaces and cgroup", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(agent.container("e1", "echo here > /dev/shmfile; sleep 1000")));
  REQUIRE(
      agent.call("ExecProcess", exec("e1", "x1",
                                     "while ! cat /dev/shmfile 2>/dev/null; do :; done; "
                                     "readlink /proc/self/ns/pid; readlink /proc/1/ns/pid; "
                                     "cat /proc/1/cgroup /proc/self/cgroup | grep ^0; exit 9")));
  const auto out = agent.drain("e1", "x1");
  const auto lines = Catch::splitStringRef(out, '\n');
  REQUIRE(lines.size() >= 5);
  CHECK(std::string{lines[0]} == "here");
  CHECK(std::string{lines[1]} == std::string{lines[2]});
  CHECK(std::string{lines[3]} == std::string{lines[4]});
  CHECK(agent.wait("e1", "x1") == 9);
  REQUIRE(agent.remove("e1"));
  CHECK(agent.leftovers() == std::vector<std::string>{});
}

TEST_CASE("agent: an exec's id is taken once, and free again when its exit was told", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(agent.container("e2", "sleep 1000")));
  REQUIRE(agent.call("ExecProcess", exec("e2", "x", "cat")));
  CHECK(agent.call("ExecProcess", exec("e2", "x", "cat")).error().code == errc::already_exists);
  REQUIRE(agent.signal("e2", "x", SIGKILL));
  CHECK(agent.wait("e2", "x") == 137);
  REQUIRE(agent.call("ExecProcess", exec("e2", "x", "exit 0")));
  CHECK(agent.wait("e2", "x") == 0);
  REQUIRE(agent.remove("e2"));
}

TEST_CASE("agent: an exec that leaves a child behind ends all the same", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(agent.container("e3", "sleep 1000")));
  REQUIRE(agent.call("ExecProcess", exec("e3", "x", "sleep 1000 & echo bye")));
  CHECK(agent.drain("e3", "x") == "bye\n");
  CHECK(agent.wait("e3", "x") == 0);
  REQUIRE(agent.remove("e3"));
}

TEST_CASE("agent: a terminal is the container's own, has a size, and survives the end of input",
          "[root]") {
  auto& agent = shared_agent();
  auto request = agent.container("t1", "tty; stty size; test -c /dev/console && echo console; "
                                       "cat; echo after");
  request.mutable_oci()->mutable_process()->set_terminal(true);
  request.mutable_oci()->mutable_process()->mutable_console_size()->set_height(33);
  request.mutable_oci()->mutable_process()->mutable_console_size()->set_width(99);
  REQUIRE(agent.run(request));
  REQUIRE(agent.call("WriteStdin", input("t1", "", "line\n")));
  REQUIRE(agent.call("WriteStdin", input("t1", "", "")));
  const auto out = agent.drain("t1");
  for (const auto* line : {"/dev/pts/0\r\n", "33 99\r\n", "console\r\n"})
    CHECK_THAT(out, Catch::Contains(line)); // the echo of the input falls between any two
  CHECK_THAT(out, Catch::EndsWith("line\r\nafter\r\n"));
  CHECK(agent.wait("t1") == 0);
  REQUIRE(agent.remove("t1"));
}

TEST_CASE("agent: a terminal changes its size, a process without one refuses", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.run(agent.container("t2", "sleep 1000")));
  auto with_tty = exec("t2", "x", "read go; stty size");
  with_tty.mutable_process()->set_terminal(true);
  REQUIRE(agent.call("ExecProcess", with_tty));
  grpc::TtyWinResizeRequest resize;
  resize.set_container_id("t2");
  resize.set_exec_id("x");
  resize.set_row(50);
  resize.set_column(132);
  REQUIRE(agent.call("TtyWinResize", resize));
  REQUIRE(agent.call("WriteStdin", input("t2", "x", "go\n")));
  CHECK_THAT(agent.drain("t2", "x"), Catch::Contains("50 132"));
  resize.set_exec_id("");
  CHECK(agent.call("TtyWinResize", resize).error().code == errc::failed_precondition);
  REQUIRE(agent.remove("t2"));
}

TEST_CASE("agent: what cannot run fails the create and names itself", "[root]") {
  auto& agent = shared_agent();
  auto request = agent.container("f1", "true");
  std::string named;
  SECTION("a program that is not there") {
    request.mutable_oci()->mutable_process()->set_args(0, "frobnicate");
    named = "process.args: 'frobnicate': executable file not found in PATH";
  }
  SECTION("a root that is not there") {
    request.mutable_oci()->mutable_root()->set_path("/nonexistent/root");
    named = "root.path";
  }
  SECTION("a file system nobody knows") {
    auto& mount = *request.mutable_oci()->add_mounts();
    mount.set_destination("/x");
    mount.set_type("dreamfs");
    named = "mounts /x: mount: file system dreamfs";
  }
  SECTION("a mount over the kernel's word") {
    auto& mount = *request.mutable_oci()->add_mounts();
    mount.set_destination("/proc/sys");
    mount.set_type("tmpfs");
    named = "mounts /proc/sys: lies inside /proc";
  }
  SECTION("a working directory that is a file") {
    request.mutable_oci()->mutable_process()->set_cwd("/etc/passwd");
    named = "process.cwd";
  }
  const auto created = agent.call("CreateContainer", request);
  REQUIRE_FALSE(created);
  CHECK_THAT(created.error().text, Catch::Contains(named));
  CHECK(agent.leftovers() == std::vector<std::string>{});
}

TEST_CASE("agent: an id is taken once and a start is legal once", "[root]") {
  auto& agent = shared_agent();
  const auto request = agent.container("f2", "sleep 1000");
  REQUIRE(agent.run(request));
  CHECK(agent.call("CreateContainer", request).error().code == errc::already_exists);
  grpc::StartContainerRequest start;
  start.set_container_id("f2");
  CHECK(agent.call("StartContainer", start).error().code == errc::failed_precondition);
  REQUIRE(agent.remove("f2"));
}

TEST_CASE("agent: a call nobody serves is unimplemented", "[root]") {
  CHECK(shared_agent().call("GetMetrics", grpc::GetMetricsRequest{}).error().code ==
        errc::unimplemented);
  // No file is ever written by its name in the guest (CVE-2026-41326).
  CHECK(shared_agent().call("CopyFile", grpc::CopyFileRequest{}).error().code ==
        errc::unimplemented);
}

TEST_CASE("agent: a container that was never started is removed with its parked init", "[root]") {
  auto& agent = shared_agent();
  REQUIRE(agent.call("CreateContainer", agent.container("f3", "true")));
  REQUIRE(agent.remove("f3"));
  CHECK(agent.leftovers() == std::vector<std::string>{});
}

TEST_CASE("agent: user, groups, limits, environment and directory are what was asked", "[root]") {
  auto& agent = shared_agent();
  auto request = agent.container("p1", "id; pwd; env; ulimit -n; cat /proc/self/oom_score_adj; "
                                       "grep -E 'Cap|NoNew' /proc/self/status");
  auto& process = *request.mutable_oci()->mutable_process();
  process.mutable_user()->set_uid(1000);
  process.mutable_user()->set_gid(1001);
  process.mutable_user()->add_additional_gids(44);
  process.set_cwd("/tmp");
  process.set_no_new_privileges(true);
  process.set_oom_score_adj(100);
  auto& limit = *process.add_rlimits();
  limit.set_type("RLIMIT_NOFILE");
  limit.set_soft(256);
  limit.set_hard(512);
  const auto out = said(request);
  CHECK_THAT(out, Catch::StartsWith("uid=1000(u) gid=1001 groups=44"));
  CHECK_THAT(out, Catch::Contains("\n/tmp\n"));
  CHECK_THAT(out, Catch::Contains("HOME=/tmp\n"));
  CHECK_THAT(out, Catch::Contains("\n256\n100\n"));
  CHECK_THAT(out, Catch::Contains("CapEff:\t0000000000000000\n"));
  CHECK_THAT(out, Catch::Contains("CapBnd:\t00000000080000a3\n"));
  CHECK_THAT(out, Catch::Contains("NoNewPrivs:\t1\n"));
}

TEST_CASE("agent: masked and read-only paths hide and hold, directories too", "[root]") {
  auto& agent = shared_agent();
  auto request =
      agent.container("p2", "cat /etc/secret; ls /etc/hidden; echo x > /etc/fixed/f || echo held; "
                            "echo x > /top || echo readonly");
  const auto root = agent.rootfs("p2root");
  std::filesystem::create_directories(root / "etc/hidden");
  std::filesystem::create_directories(root / "etc/fixed");
  std::filesystem::copy_file("/etc/hostname", root / "etc/hidden/file");
  std::filesystem::copy_file("/etc/hostname", root / "etc/secret");
  request.mutable_oci()->mutable_root()->set_path(root.string());
  request.mutable_oci()->mutable_root()->set_readonly(true);
  auto& linux = *request.mutable_oci()->mutable_linux();
  for (const auto* path : {"/etc/secret", "/etc/hidden", "/not/there"})
    linux.add_masked_paths(path);
  linux.add_readonly_paths("/etc/fixed");
  CHECK(said(request) == "held\nreadonly\n");
  CHECK_FALSE(std::filesystem::exists(root / "top"));
}
