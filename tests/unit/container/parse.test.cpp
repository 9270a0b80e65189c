#include "actors/container/oci/parse.hpp"
#include "actors/container/oci/json.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::oci;
using nlohmann::json;

namespace {

json base() {
  return json::parse(R"({
    "ociVersion": "1.0.2",
    "process": {"args": ["sh", "-c", "true"], "cwd": "/", "env": ["PATH=/bin"]},
    "root": {"path": "rootfs"},
    "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]}
  })");
}

/// The text of the failure after `patch` (JSON pointer, value) was laid over the base.
std::string refused(const std::string& pointer, const json& value) {
  auto spec = base();
  spec[json::json_pointer(pointer)] = value;
  const auto parsed = parse_spec(spec.dump());
  REQUIRE_FALSE(parsed.has_value());
  CHECK(parsed.error().code == errc::invalid_argument);
  return parsed.error().text;
}

grpc::Spec accepted(const std::string& pointer, const json& value) {
  auto spec = base();
  spec[json::json_pointer(pointer)] = value;
  auto parsed = parse_spec(spec.dump());
  if (!parsed)
    FAIL(parsed.error().text);
  return *std::move(parsed);
}

std::string without(const std::string& name) {
  auto spec = base();
  spec.erase(name);
  return parse_spec(spec.dump()).error().text;
}

} // namespace

TEST_CASE("spec: what is missing is named") {
  CHECK(without("process") == "process: is missing");
  CHECK(without("root") == "root: is missing");
  CHECK(without("linux") == "linux: is missing");
  CHECK(without("ociVersion") == "ociVersion: is missing");
  CHECK(refused("/process/args", json::array()) == "process.args: must not be empty");
  CHECK(refused("/process/cwd", nullptr) == "process.cwd: is missing");
}

TEST_CASE("spec: a wrong type or range is named with its place") {
  CHECK(refused("/process/args", "sh") == "process.args: must be a list");
  CHECK(refused("/process/args", {"sh", 1}) == "process.args[1]: must be a text");
  CHECK(refused("/process/args", {std::string("a\0b", 3)}) ==
        "process.args[0]: must not contain a NUL byte");
  CHECK(refused("/process/cwd", "tmp") ==
        "process.cwd: \"tmp\" must be an absolute path without \"..\"");
  CHECK(refused("/process/user", {{"uid", -1}}) ==
        "process.user.uid: must be an integer in 0 ... 4294967295");
  CHECK(refused("/process/user", {{"uid", 1.5}}) ==
        "process.user.uid: must be an integer in 0 ... 4294967295");
  CHECK(refused("/process/oomScoreAdj", 1001) ==
        "process.oomScoreAdj: 1001 is not in -1000 ... 1000");
  CHECK(refused("/mounts", {{{"destination", "/a/../b"}}}) ==
        "mounts[0].destination: \"/a/../b\" must be an absolute path without \"..\"");
  CHECK(refused("/process/terminal", "yes") == "process.terminal: must be true or false");
}

TEST_CASE("spec: words outside their closed set never reach the agent") {
  CHECK(refused("/process/capabilities", {{"bounding", {"CAP_KILL", "CAP_FLY"}}}) ==
        "process.capabilities.bounding[1]: \"CAP_FLY\" is no capability");
  CHECK(refused("/process/rlimits", {{{"type", "RLIMIT_FUN"}}}) ==
        "process.rlimits[0].type: \"RLIMIT_FUN\" is not supported");
  CHECK(refused("/linux/namespaces", {{{"type", "net"}}}) ==
        "linux.namespaces[0].type: \"net\" is not supported");
  CHECK(refused("/linux/namespaces", {{{"type", "pid"}}, {{"type", "pid"}}}) ==
        "linux.namespaces[1]: the pid namespace is there twice");
  CHECK(refused("/linux/rootfsPropagation", "sideways") ==
        "linux.rootfsPropagation: \"sideways\" is not supported");
  CHECK(refused("/linux/devices", {{{"path", "/dev/x"}, {"type", "q"}}}) ==
        "linux.devices[0].type: \"q\" is not supported");
  CHECK(refused("/linux/resources", {{"devices", {{{"access", "rwx"}}}}}) ==
        "linux.resources.devices[0].access: \"rwx\" holds more than r, w and m");
  CHECK(refused("/linux/seccomp", {{"defaultAction", "SCMP_ACT_NOTIFY"}}) ==
        "linux.seccomp.defaultAction: \"SCMP_ACT_NOTIFY\" is not supported");
  CHECK(refused("/linux/seccomp",
                {{"defaultAction", "SCMP_ACT_ERRNO"}, {"architectures", {"SCMP_ARCH_VAX"}}}) ==
        "linux.seccomp.architectures[0]: \"SCMP_ARCH_VAX\" is not supported");
}

TEST_CASE("spec: capabilities are taken in every spelling and sent in one") {
  const auto spec = accepted("/process/capabilities", {{"ambient", {"CAP_KILL", "net_raw"}}});
  CHECK(spec.process().capabilities().ambient(0) == "CAP_KILL");
  CHECK(spec.process().capabilities().ambient(1) == "CAP_NET_RAW");
}

TEST_CASE("spec: a seccomp rule always carries an errno, EPERM unless it says another") {
  const auto spec = accepted(
      "/linux/seccomp", {{"defaultAction", "SCMP_ACT_ALLOW"},
                         {"syscalls",
                          {{{"names", {"a"}}, {"action", "SCMP_ACT_ERRNO"}},
                           {{"names", {"b"}}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", 38}}}}});
  REQUIRE(spec.linux().seccomp().syscalls_size() == 2);
  CHECK(spec.linux().seccomp().syscalls(0).errno_ret_case() == grpc::LinuxSyscall::kErrnoret);
  CHECK(spec.linux().seccomp().syscalls(0).errnoret() == 1);
  CHECK(spec.linux().seccomp().syscalls(1).errnoret() == 38);
}

TEST_CASE("spec: null counts as absent, unknown members are passed over") {
  const auto spec = accepted("/process/rlimits", nullptr);
  CHECK(spec.process().rlimits().empty());
  CHECK(accepted("/somethingNew", {1, 2}).process().args(0) == "sh");
}

TEST_CASE("spec: values arrive in the agent's message") {
  const auto spec =
      accepted("/linux/resources",
               {{"memory", {{"limit", 67108864}, {"swap", -1}}},
                {"cpu", {{"shares", 512}, {"quota", 50000}, {"period", 100000}, {"cpus", "0-1"}}},
                {"pids", {{"limit", 64}}},
                {"hugepageLimits", {{{"pageSize", "2MB"}, {"limit", 4}}}},
                {"devices", {{{"allow", true}, {"type", "c"}, {"major", 136}, {"access", "rw"}}}}});
  const auto& limits = spec.linux().resources();
  CHECK(limits.memory().limit() == 67108864);
  CHECK(limits.memory().swap() == -1);
  CHECK(limits.cpu().shares() == 512);
  CHECK(limits.cpu().cpus() == "0-1");
  CHECK(limits.pids().limit() == 64);
  CHECK(limits.hugepage_limits(0).pagesize() == "2MB");
  CHECK(limits.devices(0).major() == 136);
  CHECK(limits.devices(0).minor() == -1);
  CHECK(spec.root().path() == "rootfs");
  CHECK(spec.process().env(0) == "PATH=/bin");
}

TEST_CASE("spec: size, depth and length of lists are bounded") {
  CHECK(parse_spec(std::string(max_json_size + 1, ' ')).error().text ==
        "config.json: is larger than 2097152 bytes");
  const std::string deep = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  CHECK(parse_spec(deep).error().text == "config.json: is nested deeper than 32 levels");
  CHECK(refused("/process/env", std::vector<std::string>(max_json_entries + 1, "")) ==
        "process.env: has more than 16384 entries");
  CHECK(parse_spec("[]").error().text == "config.json: must be an object");
  CHECK(parse_spec("{\"a\": \"\xff\"}").error().text.starts_with("config.json: parse error"));
}

TEST_CASE("process: the object of an exec, errors begin with its name") {
  const auto process = parse_process(R"({"args": ["id"], "cwd": "/tmp", "terminal": true,
      "user": {"uid": 5, "gid": 6, "additionalGids": [7]}})");
  REQUIRE(process.has_value());
  CHECK(process->args(0) == "id");
  CHECK(process->terminal());
  CHECK(process->user().uid() == 5);
  CHECK(process->user().additional_gids(0) == 7);
  CHECK(parse_process(R"({"cwd": "/"})").error().text == "process.args: must not be empty");
  CHECK(parse_process("").error().text.starts_with("process: parse error"));
}

TEST_CASE("resources: the object of an update") {
  CHECK(parse_resources(R"({"memory": {"limit": 1048576}})")->memory().limit() == 1048576);
  CHECK(parse_resources(R"({"cpu": {"shares": -2}})").error().text ==
        "resources.cpu.shares: must be an integer in 0 ... 18446744073709551615");
}
