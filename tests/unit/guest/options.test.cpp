#include "guest/agent/boot/options.hpp"
#include "guest/agent/boot/listen.hpp"

#include <catch2/catch.hpp>

#include <array>

using namespace troupe;
using namespace troupe::guest;

TEST_CASE("agent options: known keys are taken from among a kernel's own words") {
  agent_options options;
  REQUIRE(apply_cmdline("console=ttyS0 quiet agent.log=debug agent.log_vport=1025 reboot=k "
                        "agent.server_addr=vsock://-1:2048 agent.container_pipe_size=65536 "
                        "agent.launch_process_timeout=6 agent.unified_cgroup_hierarchy=true\n",
                        options));
  CHECK(options.log_level == log::level::debug);
  CHECK(options.log_vport == 1025);
  CHECK(options.server_address == "vsock://-1:2048");
  CHECK(options.pipe_bytes == 65536);
  CHECK(options.launch_timeout == seconds{6});
}

TEST_CASE("agent options: quotes keep spaces together and unknown agent keys are ignored") {
  agent_options options;
  REQUIRE(
      apply_cmdline("agent.mystery=1 x=\"a agent.log=nonsense b\" agent.log=\"error\"", options));
  CHECK(options.log_level == log::level::error);
}

TEST_CASE("agent options: a bad value of a known key is refused and the key named") {
  const auto [line, named] = GENERATE(table<std::string, std::string>({
      {"agent.log=loud", "agent.log: 'loud'"},
      {"agent.log_vport=x", "agent.log_vport: 'x'"},
      {"agent.log_vport=4294967296", "agent.log_vport: '4294967296'"},
      {"agent.log_vport", "agent.log_vport: ''"},
      {"agent.container_pipe_size=1048577", "agent.container_pipe_size"},
      {"agent.launch_process_timeout=0", "agent.launch_process_timeout"},
      {"agent.server_addr=", "agent.server_addr: must not be empty"},
      {"agent.unified_cgroup_hierarchy=false", "agent.unified_cgroup_hierarchy: 'false'"},
  }));
  agent_options options;
  const auto done = apply_cmdline(line, options);
  REQUIRE_FALSE(done);
  CHECK(done.error().code == errc::invalid_argument);
  CHECK_THAT(done.error().text, Catch::Contains(named));
}

TEST_CASE("agent options: kata-agent's words for levels map to ours") {
  CHECK(parse_agent_level("k", "fatal") == log::level::error);
  CHECK(parse_agent_level("k", "critical") == log::level::error);
  CHECK(parse_agent_level("k", "warning") == log::level::warn);
  CHECK(parse_agent_level("k", "trace") == log::level::trace);
}

TEST_CASE("agent options: arguments set the host run's directories; what is unknown is named") {
  std::array<char*, 5> good{const_cast<char*>("--server-addr"), const_cast<char*>("unix:///a"),
                            const_cast<char*>("--work-dir"), const_cast<char*>("/w"),
                            const_cast<char*>("--lenient-cgroups")};
  agent_options options;
  REQUIRE(apply_arguments(good, options));
  CHECK(options.server_address == "unix:///a");
  CHECK(options.work_dir == "/w");
  CHECK(options.lenient_cgroups);
  std::array<char*, 2> bad{const_cast<char*>("--frob"), const_cast<char*>("1")};
  const auto done = apply_arguments(bad, options);
  REQUIRE_FALSE(done);
  CHECK(done.error().text == "--frob: no such option");
}

TEST_CASE("server address: the three forms are read, anything else is refused") {
  CHECK(parse_server_address("vsock://-1:1024") ==
        server_address{vsock_address{0xffffffffu, 1024}});
  CHECK(parse_server_address("vsock://3:9") == server_address{vsock_address{3, 9}});
  CHECK(parse_server_address("unix:///run/a.sock") == server_address{unix_address{"/run/a.sock"}});
  CHECK(parse_server_address("unix://@name") == server_address{unix_address{"@name"}});
  for (const auto* bad : {"", "tcp://1:2", "vsock://", "vsock://1", "vsock://a:1", "vsock://1:x",
                          "vsock://-2:1", "unix://", "unix://rel", "unix:///"})
    CHECK_FALSE(parse_server_address(bad));
  CHECK_FALSE(parse_server_address("unix:///" + std::string(200, 'a')));
}
