#include "actors/container/container_state.hpp"

#include <catch2/catch.hpp>

using namespace troupe;

namespace {

create_task request(std::string bundle = "/bundle") {
  create_task r;
  r.container = *container_id::parse("c1");
  r.bundle = std::move(bundle);
  return r;
}

exec_id exec(const std::string& text) {
  return *exec_id::parse(text);
}

} // namespace

TEST_CASE("container: the same create again is known by its bundle, mounts and streams") {
  const container_state c{request(), 1};
  CHECK(c.same_request(request()));
  CHECK_FALSE(c.same_request(request("/other")));
  auto mounted = request();
  mounted.rootfs.push_back({"bind", "/src", {}});
  CHECK_FALSE(c.same_request(mounted));
}

TEST_CASE("container: an exec id is taken once and free again after its delete") {
  container_state c{request(), 1};
  c.created();
  CHECK(c.add_exec(exec("e1")));
  CHECK(c.add_exec(exec("e1")).error().code == errc::already_exists);
  c.drop_exec(exec("e1"));
  CHECK(c.add_exec(exec("e1")));
}

TEST_CASE("container: execs are refused before it is created and while it goes") {
  container_state c{request(), 1};
  CHECK(c.add_exec(exec("e1")).error().code == errc::failed_precondition);
  c.created();
  c.begin_remove();
  CHECK(c.add_exec(exec("e1")).error().code == errc::failed_precondition);
}

TEST_CASE("container: registered execs are bounded") {
  container_state c{request(), 1};
  c.created();
  for (std::size_t i = 0; i < max_execs_per_container; ++i)
    REQUIRE(c.add_exec(exec("e" + std::to_string(i))));
  CHECK(c.add_exec(exec("more")).error().code == errc::resource_exhausted);
  CHECK(c.execs().size() == max_execs_per_container);
}
