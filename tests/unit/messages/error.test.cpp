#include "messages/vocabulary/error.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <set>

using namespace troupe;

TEST_CASE("errors: every code has its own name, a text and a gRPC code that is never UNKNOWN") {
  std::set<std::string_view> names;
  for (std::uint8_t i = 1; i <= errc_count; ++i) {
    const auto code = static_cast<errc>(i);
    CAPTURE(name(code));
    CHECK(names.insert(name(code)).second);
    CHECK_FALSE(explain(code).empty());
    CHECK(to_grpc(code) != grpc_code::unknown);
    CHECK(to_grpc(code) != grpc_code::ok);
  }
}

TEST_CASE("errors: what containerd decides by keeps its number on the wire") {
  CHECK(to_grpc(errc::not_found) == grpc_code::not_found);
  CHECK(to_grpc(errc::already_exists) == grpc_code::already_exists);
  CHECK(to_grpc(errc::failed_precondition) == grpc_code::failed_precondition);
  CHECK(to_grpc(errc::restarting) == grpc_code::unavailable);
  CHECK(static_cast<int>(grpc_code::unavailable) == 14);
}

TEST_CASE("errors: a peer's unknown status number is the peer's fault") {
  CHECK(from_grpc(2) == errc::peer_fault);
  CHECK(from_grpc(99) == errc::peer_fault);
  CHECK(from_grpc(-1) == errc::peer_fault);
  CHECK(from_grpc(5) == errc::not_found);
}

namespace {
outcome<int> half(int n) {
  if (n % 2 != 0)
    return fail(errc::invalid_argument, "n: {} is odd", n);
  return n / 2;
}
outcome<int> quarter(int n) {
  return TRY(half(TRY(half(n))));
}
outcome<void> checked(int n) {
  TRY(quarter(n));
  return {};
}
} // namespace

TEST_CASE("outcome: TRY hands the value on and returns the first failure") {
  CHECK(quarter(12) == 3);
  REQUIRE_FALSE(quarter(6));
  CHECK(quarter(6).error() == failure{errc::invalid_argument, "n: 3 is odd", 0});
  CHECK(checked(4));
  CHECK_FALSE(checked(5));
}

TEST_CASE("outcome: a failed system call tells what was tried and keeps its errno") {
  const outcome<void> lost = fail_errno("open /nowhere", ENOENT);
  REQUIRE_FALSE(lost);
  CHECK(lost.error().os_error == ENOENT);
  CHECK(lost.error().to_string() == "host_io: open /nowhere: No such file or directory");
  const outcome<void> outer = within("boot", lost.error());
  CHECK(outer.error().text == "boot: open /nowhere: No such file or directory");
}
