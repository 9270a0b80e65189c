#include "tools/ctl/check.hpp"
#include "tools/ctl/pods.hpp"
#include "tools/ctl/private_folder.hpp"
#include "tools/ctl/text.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

using namespace troupe;
using namespace troupe::ctl;
using nlohmann::json;

TEST_CASE("check: something optional hinders nothing, something missing does") {
  std::vector<finding> all{{"user", verdict::good, "root", ""},
                           {"kvm", verdict::optional, "slow", "hardware"}};
  CHECK(can_run(all));
  CHECK(check_text(all, false).ends_with("a pod can run here\n"));
  all.push_back({"qemu", verdict::missing, "none", "package qemu-system-x86"});
  CHECK_FALSE(can_run(all));
  const auto text = check_text(all, false);
  CHECK(text.find("missing   qemu           none\n") != std::string::npos);
  CHECK(text.find("would help: package qemu-system-x86\n") != std::string::npos);
  CHECK(text.ends_with("no pod can run here\n"));
  const auto got = json::parse(check_text(all, true));
  CHECK(got["can_run"] == false);
  CHECK(got["findings"][2]["verdict"] == "missing");
}

TEST_CASE(
    "check: the files of both hypervisors are looked for, only the needed ones must be there") {
  config::config values;
  values.qemu.path = "/bin/sh";
  values.qemu.kernel = "/no/q";
  values.qemu.initrd = "/etc/passwd";
  values.builtin.kernel = "/etc/passwd";
  values.builtin.initrd = "/no/b";
  const auto results = [&](std::string_view needed) {
    std::map<std::string, verdict> out;
    for (const auto& one : hypervisor_files(values, needed)) {
      out[one.what] = one.result;
      CHECK(one.help.empty() == (one.result == verdict::good));
    }
    return out;
  };
  std::map<std::string, verdict> all{{"builtin kernel", verdict::good},
                                     {"builtin initrd", verdict::optional},
                                     {"qemu", verdict::good},
                                     {"qemu kernel", verdict::optional},
                                     {"qemu initrd", verdict::good}};
  CHECK(results("") == all);
  all["qemu kernel"] = verdict::missing;
  CHECK(results("qemu") == all);
  all["qemu kernel"] = verdict::optional;
  all["builtin initrd"] = verdict::missing;
  CHECK(results("builtin") == all);
}

TEST_CASE("ps: a pod is a line, or an object") {
  const std::vector<pod_row> rows{{"p1", 42, true, 3, ""}, {"p2", 0, false, 0, "no journal"}};
  const auto text = pods_text(rows, false);
  CHECK(text.find("alive       3\n") != std::string::npos);
  CHECK(text.find("no journal\n") != std::string::npos);
  const auto got = json::parse(pods_text(rows, true));
  CHECK(got[0] == json{{"pod", "p1"}, {"pid", 42}, {"alive", true}, {"effects", 3}});
  CHECK(got[1]["problem"] == "no journal");
}

TEST_CASE("ps: a journal of this process is alive with its effects counted") {
  const auto folder = private_folder::make();
  REQUIRE(folder);
  const auto pod = folder->path() + "/p1";
  std::filesystem::create_directory(pod);
  const auto owner = journal::this_process();
  REQUIRE(owner);
  auto journal = journal::file::create(pod + "/" + std::string{journal::file_name}, *owner,
                                       {{journal::root::state, pod}});
  REQUIRE(journal);
  const auto kept = (*journal)->record(journal::file_effect{{journal::root::state, "a"}});
  const auto gone = (*journal)->record(journal::file_effect{{journal::root::state, "b"}});
  REQUIRE((kept && gone));
  REQUIRE((*journal)->settle(*gone));
  const auto rows = list_pods(folder->path());
  REQUIRE(rows);
  CHECK(*rows == std::vector<pod_row>{{"p1", owner->pid, true, 1, ""}});
}

TEST_CASE("ps: no folder of pods is an empty list") {
  const auto rows = list_pods("/no/such/folder");
  REQUIRE(rows);
  CHECK(rows->empty());
}

TEST_CASE("sweep: nothing to do is said") {
  CHECK(sweep_text({}, false) == "nothing to sweep\n");
  CHECK(sweep_text({}, true) == "[]\n");
}

TEST_CASE("door: it is the pod's own socket, or the one its hash begins with") {
  const auto folder = private_folder::make();
  REQUIRE(folder);
  ::setenv("TROUPE_RUN_DIR", folder->path().c_str(), 1);
  std::filesystem::create_directories(folder->path() + "/pods/mine");
  std::filesystem::create_directories(folder->path() + "/s");
  std::ofstream{folder->path() + "/pods/mine/" + door_name};
  const auto theirs = folder->path() + "/s/0123456789abcdef";
  std::ofstream{theirs};
  std::ofstream{theirs + ".lock"};
  CHECK(door_of("mine") == folder->path() + "/pods/mine/" + door_name);
  CHECK(door_of("c1-0123456789ab") == theirs);
  CHECK(door_of("c1-ffffffffffff").error().code == errc::not_found);
  CHECK(door_of("../mine").error().code == errc::invalid_argument);
  CHECK(door_of("").error().code == errc::invalid_argument);
  ::unsetenv("TROUPE_RUN_DIR");
}

TEST_CASE("failure: a line for people, or JSON") {
  const failure why{errc::not_found, "run: no \"x\"", 0};
  CHECK(failure_text(why, false) == "troupectl: not_found: run: no \"x\"");
  CHECK(json::parse(failure_text(why, true))["error"]["text"] == why.text);
}
