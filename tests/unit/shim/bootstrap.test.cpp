#include "shim/bootstrap.hpp"
#include "actors/sandbox/pod/listener.hpp"
#include "actors/sandbox/pod/run_folders.hpp"
#include "shim/spawn.hpp"

#include "bootstrap.pb.h"
#include "tests/support/scratch.hpp"
#include "wellknown.pb.h"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

using namespace troupe;
using namespace troupe::shim;
using namespace troupe::pod;

namespace {

const container_id c1 = *container_id::parse("c1");

} // namespace

TEST_CASE("bootstrap: nothing, an Any of options and parameters for this id are taken") {
  CHECK(check_bootstrap_input("", c1));
  troupe::wire::Any any;
  any.set_type_url("runtimeoptions.v1.Options");
  any.set_value("x");
  CHECK(check_bootstrap_input(any.SerializeAsString(), c1));
  containerd::runtime::bootstrap::v1::BootstrapParams params;
  params.set_instance_id("c1");
  params.set_containerd_version("2.3.0");
  CHECK(check_bootstrap_input(params.SerializeAsString(), c1));
}

TEST_CASE("bootstrap: parameters for another id and rubbish are refused") {
  containerd::runtime::bootstrap::v1::BootstrapParams params;
  params.set_instance_id("c2");
  params.set_containerd_version("2.3.0");
  CHECK(check_bootstrap_input(params.SerializeAsString(), c1).error().text ==
        "bootstrap parameters: for id 'c2', but -id is c1");
  CHECK(check_bootstrap_input("\xff\xff\xff", c1).error().code == errc::invalid_argument);
}

TEST_CASE("socket path: depends on containerd, namespace and pod, and always fits") {
  const auto ns = *namespace_id::parse("k8s.io");
  const auto path = socket_path("/run/containerd/containerd.sock", ns, "pod1");
  CHECK(path.size() < 108);
  CHECK(path == socket_path("/run/containerd/containerd.sock", ns, "pod1"));
  CHECK(path != socket_path("/run/other/containerd.sock", ns, "pod1"));
  CHECK(path != socket_path("/run/containerd/containerd.sock", ns, "pod2"));
  CHECK(path != socket_path("/run/containerd/containerd.sock", *namespace_id::parse("x"), "pod1"));
  const auto folder = pod_directory("/run/containerd/containerd.sock", ns, "pod1");
  CHECK(folder != pod_directory("/run/other/containerd.sock", ns, "pod1"));
  CHECK(folder.find("/pods/pod1-") != std::string::npos);
}

TEST_CASE("listener: a first start listens on a 0600 socket, a second one finds the first") {
  const troupe::test::scratch_folder folder;
  const auto path = folder.file("sock");
  auto first = listen_or_find(path);
  REQUIRE(first);
  REQUIRE(first->socket);
  struct stat found {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0600);
  first->lock.reset();
  const auto second = listen_or_find(path);
  REQUIRE(second);
  CHECK_FALSE(second->socket);
}

TEST_CASE("listener: a socket file without a listener is replaced") {
  const troupe::test::scratch_folder folder;
  const auto path = folder.file("sock");
  { REQUIRE(listen_or_find(path)); } // closed: the file stays, as after kill -9
  REQUIRE(std::filesystem::exists(path));
  const auto again = listen_or_find(path);
  REQUIRE(again);
  CHECK(again->socket);
}

TEST_CASE("listener: a path that does not fit a socket address is named") {
  const auto none = listen_or_find("/" + std::string(200, 'x'));
  REQUIRE_FALSE(none);
  CHECK(none.error().code == errc::invalid_argument);
}

TEST_CASE("oom score: the daemon goes one step before containerd, within the kernel's range") {
  CHECK(daemon_oom_score(0) == 1);
  CHECK(daemon_oom_score(-999) == -998);
  CHECK(daemon_oom_score(-1000) == -999);
  CHECK(daemon_oom_score(1000) == 1000);
}

TEST_CASE("spawn: a daemon that cannot be executed is an error that says so") {
  const troupe::test::scratch_folder folder;
  auto listening = listen_or_find(folder.file("sock"));
  REQUIRE(listening);
  const daemon_order order{folder.file("none"), {"none"}, folder.path(), 1};
  const auto spawned = spawn_daemon(order, listening->socket);
  REQUIRE_FALSE(spawned);
  CHECK(spawned.error().text ==
        "start " + folder.file("none") + ": exec: No such file or directory");
}
