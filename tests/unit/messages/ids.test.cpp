#include "messages/vocabulary/ids.hpp"

#include <catch2/catch.hpp>

using namespace troupe;

TEST_CASE("ids: letters, digits and . _ - inside are taken as they are") {
  for (const auto* text : {"a", "c1", "0f", "k8s.io", "a_b-c.d", "UPPER"}) {
    CAPTURE(text);
    const auto id = container_id::parse(text);
    REQUIRE(id);
    CHECK(id->str() == text);
  }
}

TEST_CASE("ids: whatever could leave its folder or break a line is refused by name") {
  for (const auto* text :
       {"", ".", "..", "../x", "a/b", "-a", "_a", ".hidden", "a b", "a\n", "ä"}) {
    CAPTURE(text);
    const auto id = container_id::parse(text);
    REQUIRE_FALSE(id);
    CHECK(id.error().code == errc::invalid_argument);
    CHECK(id.error().text.find("container id") == 0);
    CHECK(id.error().text.find('\n') == std::string::npos);
  }
}

TEST_CASE("ids: the longest id is 76 characters") {
  CHECK(exec_id::parse(std::string(76, 'x')));
  const auto id = exec_id::parse(std::string(77, 'x'));
  REQUIRE_FALSE(id);
  CHECK(id.error().text == "exec id: 77 characters, at most 76 are allowed");
}
