#include "messages/vocabulary/error.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <array>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

using namespace troupe;

namespace {

std::string page() {
  std::ifstream file{TROUPE_SOURCE_DIR "/docs/errors.md"};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// google.rpc.Code by number.
constexpr std::array<std::string_view, 17> grpc_names{
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

std::string row_of(errc code) {
  const auto number = static_cast<std::size_t>(to_grpc(code));
  return fmt::format("\n| `{}` | {} {} | {} | ", name(code), number, grpc_names.at(number),
                     explain(code));
}

} // namespace

TEST_CASE("docs/errors.md: has every code in order, with its gRPC code and its sentence") {
  const auto text = page();
  std::size_t at = 0;
  for (std::uint8_t i = 1; i <= errc_count; ++i) {
    const auto row = row_of(static_cast<errc>(i));
    CAPTURE(row);
    at = text.find(row, at);
    REQUIRE(at != std::string::npos);
  }
}

TEST_CASE("docs/errors.md: has no code that does not exist") {
  const auto text = page();
  std::size_t rows = 0;
  for (auto at = text.find("\n| `"); at != std::string::npos; at = text.find("\n| `", at + 1))
    ++rows;
  CHECK(rows == errc_count);
}
