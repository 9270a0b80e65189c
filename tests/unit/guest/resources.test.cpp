#include "guest/agent/spec/resources.hpp"
#include "guest/agent/cgroup/stats.hpp"
#include "guest/agent/spec/paths.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::guest;

namespace {

std::vector<std::string> written(const grpc::LinuxResources& resources) {
  std::vector<std::string> out;
  const auto writes = cgroup_writes(resources).value();
  for (const auto& one : writes)
    out.push_back(one.file + "=" + one.value);
  return out;
}

} // namespace

TEST_CASE("cgroup values: cpu shares map to the weight range of cgroup v2, ends included") {
  CHECK(cpu_weight(2) == 1);
  CHECK(cpu_weight(1) == 1);
  CHECK(cpu_weight(1024) == 39);
  CHECK(cpu_weight(262144) == 10000);
  CHECK(cpu_weight(1u << 30) == 10000);
  CHECK(io_weight(10) == 1);
  CHECK(io_weight(1000) == 10000);
}

TEST_CASE("cgroup values: swap is the part above memory, and is written before it") {
  grpc::LinuxResources resources;
  resources.mutable_memory()->set_limit(1000);
  resources.mutable_memory()->set_swap(1500);
  CHECK(written(resources) == std::vector<std::string>{"memory.swap.max=500", "memory.max=1000"});
}

TEST_CASE("cgroup values: swap below memory is refused") {
  grpc::LinuxResources resources;
  resources.mutable_memory()->set_limit(1000);
  resources.mutable_memory()->set_swap(999);
  CHECK(cgroup_writes(resources).error().code == errc::invalid_argument);
}

TEST_CASE("cgroup values: -1 lifts a limit and 0 is no limit at all") {
  grpc::LinuxResources resources;
  resources.mutable_memory()->set_limit(-1);
  resources.mutable_memory()->set_swap(-1);
  resources.mutable_pids()->set_limit(0);
  CHECK(written(resources) == std::vector<std::string>{"memory.swap.max=max", "memory.max=max"});
}

TEST_CASE("cgroup values: quota and period share a file, and a quota of -1 is max") {
  grpc::LinuxResources resources;
  resources.mutable_cpu()->set_quota(50000);
  resources.mutable_cpu()->set_period(100000);
  CHECK(written(resources) == std::vector<std::string>{"cpu.max=50000 100000"});
  resources.mutable_cpu()->set_quota(-1);
  CHECK(written(resources) == std::vector<std::string>{"cpu.max=max 100000"});
}

TEST_CASE("cgroup values: lists and page sizes that are not such are refused") {
  grpc::LinuxResources resources;
  SECTION("cpus") {
    resources.mutable_cpu()->set_cpus("0-1;rm");
  }
  SECTION("page size") {
    resources.add_hugepage_limits()->set_pagesize("../x");
  }
  CHECK_FALSE(cgroup_writes(resources));
}

TEST_CASE("cgroup path: systemd's form and an empty one become paths below the root") {
  CHECK(cgroup_path("", "c1") == "c1");
  CHECK(cgroup_path("/default/c1", "x") == "default/c1");
  CHECK(cgroup_path("a.slice:cri:c1", "x") == "a.slice/cri/c1");
  CHECK_FALSE(cgroup_path("/", "c1"));
  CHECK_FALSE(cgroup_path("/a/../..", "c1"));
}

TEST_CASE("container path: doubled slashes and dots go, climbing and NUL are refused") {
  CHECK(container_path("f", "//a/./b//") == "/a/b");
  CHECK(container_path("f", "/") == "/");
  CHECK_FALSE(container_path("f", "a"));
  CHECK_FALSE(container_path("f", ""));
  CHECK_FALSE(container_path("f", "/a/.."));
  CHECK_FALSE(container_path("f", std::string_view{"/a\0b", 4}));
  CHECK_FALSE(container_path("f", "/" + std::string(max_path_length, 'a')));
}

TEST_CASE("sysctl path: the first separator decides what a dot means") {
  CHECK(sysctl_path("net.ipv4.ip_forward") == "net/ipv4/ip_forward");
  CHECK(sysctl_path("net/ipv4/conf/eth0.100/mtu") == "net/ipv4/conf/eth0.100/mtu");
  CHECK_FALSE(sysctl_path("net/../vm"));
}

TEST_CASE("device rules: letters become bits; an empty access is all of them") {
  grpc::LinuxResources resources;
  auto& one = *resources.add_devices();
  one.set_allow(true);
  one.set_type("c");
  one.set_major(1);
  one.set_minor(0);
  one.set_access("rw");
  const auto rules = device_rules(resources);
  REQUIRE(rules);
  CHECK(rules->at(0).kind == device_kind::character);
  CHECK(rules->at(0).access == 6);
  CHECK(rules->at(0).major == 1u);
  CHECK(rules->at(0).minor == 0u);
  one.set_access("rwx");
  CHECK(device_rules(resources).error().code == errc::invalid_argument);
}

TEST_CASE("cgroup stats: microseconds become nanoseconds") {
  grpc::CpuStats cpu;
  parse_cpu_stat("usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\nnr_throttled 1\n"
                 "throttled_usec 9\n",
                 cpu);
  CHECK(cpu.cpu_usage().total_usage() == 5000);
  CHECK(cpu.cpu_usage().usage_in_kernelmode() == 2000);
  CHECK(cpu.throttling_data().throttled_time() == 9000);
  CHECK(cpu.throttling_data().periods() == 7);
}

TEST_CASE("cgroup stats: io.stat becomes one entry per device and direction") {
  grpc::BlkioStats io;
  parse_io_stat("254:16 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n", io);
  REQUIRE(io.io_service_bytes_recursive_size() == 3);
  CHECK(io.io_service_bytes_recursive(1).op() == "write");
  CHECK(io.io_service_bytes_recursive(1).value() == 20);
  CHECK(io.io_service_bytes_recursive(1).major() == 254);
  CHECK(io.io_service_bytes_recursive(1).minor() == 16);
}

TEST_CASE("cgroup stats: a key that is the start of another does not stand for it") {
  CHECK(keyed_value("oom_kill_group 4\noom 1\noom_kill 2\n", "oom_kill") == 2u);
  CHECK(keyed_value("oom 1\n", "oom_kill") == std::nullopt);
}
