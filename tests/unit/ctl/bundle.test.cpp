#include "tools/ctl/bundle.hpp"
#include "tools/ctl/private_folder.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <sys/stat.h>

#include <algorithm>

using namespace troupe;
using namespace troupe::ctl;
using nlohmann::json;

namespace {

process_order shell() {
  process_order out;
  out.args = {"sh", "-c", "exit 7"};
  return out;
}

} // namespace

TEST_CASE("bundle: the process is what was asked for, without further privileges") {
  auto order = shell();
  order.cwd = "/srv";
  order.uid = 5;
  const auto got = json::parse(process_json(order));
  CHECK(got["args"] == json{"sh", "-c", "exit 7"});
  CHECK(got["cwd"] == "/srv");
  CHECK(got["user"]["uid"] == 5);
  CHECK(got["terminal"] == false);
  CHECK(got["noNewPrivileges"] == true);
  CHECK(got["capabilities"]["bounding"].size() == 14);
  CHECK_FALSE(got["capabilities"].contains("ambient"));
}

TEST_CASE("bundle: a variable given again replaces the earlier one") {
  auto order = shell();
  order.env = {"PATH=/bin", "A=1", "A=2", "AB=3"};
  CHECK(json::parse(process_json(order))["env"] == json{"PATH=/bin", "A=2", "AB=3"});
  order.env = {};
  order.terminal = true;
  const auto env = json::parse(process_json(order))["env"];
  CHECK(std::find(env.begin(), env.end(), "TERM=xterm") != env.end());
}

TEST_CASE("bundle: a whole config.json has containerd's namespaces and mounts") {
  const auto got = json::parse(bundle_json(shell(), "/r", "c1"));
  CHECK(got["root"]["path"] == "/r");
  CHECK(got["hostname"] == "c1");
  std::vector<std::string> mounts;
  for (const auto& mount : got["mounts"])
    mounts.push_back(mount["destination"]);
  CHECK(mounts == std::vector<std::string>{"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue",
                                           "/sys", "/run"});
  CHECK(got["linux"]["namespaces"].size() == 5);
  CHECK(got["linux"]["namespaces"][0] == json{{"type", "pid"}});
}

TEST_CASE("bundle: words that are no UTF-8 still make JSON") {
  auto order = shell();
  order.args.emplace_back("\xff");
  CHECK(json::accept(process_json(order)));
}

TEST_CASE("bundle: the folder is private and goes with all in it") {
  std::string path;
  {
    const auto folder = private_folder::make();
    REQUIRE(folder);
    path = folder->path();
    struct stat about {};
    REQUIRE(::stat(path.c_str(), &about) == 0);
    CHECK((about.st_mode & 07777) == 0700);
    CHECK(write_bundle(path, "{}"));
    CHECK_FALSE(write_bundle(path, "{}"));
  }
  CHECK(::access(path.c_str(), F_OK) != 0);
}
