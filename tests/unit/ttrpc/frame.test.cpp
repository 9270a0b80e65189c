#include "messages/ttrpc/frame.hpp"
#include "tests/unit/ttrpc/peer.hpp"

#include <vector>

using namespace troupe::ttrpc;
using troupe::ttrpc::test::bytes;

namespace {

std::vector<frame_reader::item> read_all(frame_reader& reader, std::string_view input,
                                         std::size_t step) {
  std::vector<frame_reader::item> items;
  while (!input.empty()) {
    auto part = input.substr(0, step);
    input.remove_prefix(part.size());
    while (auto item = reader.next(part))
      items.push_back(std::move(*item));
  }
  return items;
}

} // namespace

TEST_CASE("frame: a header is ten big-endian bytes: length, stream, type, flags") {
  const frame_header header{.length = 0x00012345, .stream = 0x89abcdef, .type = 2, .flags = 5};
  const auto raw = encode(header);
  CHECK(std::string(raw.data(), raw.size()) == bytes("00 01 23 45 89 ab cd ef 02 05"));
  CHECK(decode_header(raw) == header);
}

TEST_CASE("frame: an encoded frame carries its body's length") {
  CHECK(encode(7, frame_type::response, "abc") == bytes("00000003 00000007 02 00 616263"));
  CHECK(encode(1, frame_type::data, "") == bytes("00000000 00000001 03 00"));
}

TEST_CASE("frame: a reader gives the same frames however the bytes are split") {
  const auto input = encode(1, frame_type::request, "first") + encode(3, frame_type::request, "") +
                     encode(5, frame_type::response, std::string(300, 'x'));
  for (const std::size_t step : {1, 2, 9, 10, 11, 64, 1000}) {
    CAPTURE(step);
    frame_reader reader;
    const auto items = read_all(reader, input, step);
    REQUIRE(items.size() == 3);
    CHECK(std::get<frame>(items[0]).body == "first");
    CHECK(std::get<frame>(items[1]).header.stream == 3);
    CHECK(std::get<frame>(items[1]).body.empty());
    CHECK(std::get<frame>(items[2]).body == std::string(300, 'x'));
    CHECK(reader.at_boundary());
  }
}

TEST_CASE("frame: a partial frame is no frame, and the reader knows it is inside one") {
  frame_reader reader;
  const auto whole = encode(1, frame_type::request, "body");
  CHECK(read_all(reader, std::string_view{whole}.substr(0, 12), 5).empty());
  CHECK_FALSE(reader.at_boundary());
  CHECK(read_all(reader, std::string_view{whole}.substr(12), 5).size() == 1);
}

TEST_CASE("frame: a body of exactly 4 MiB is taken, one byte more is skipped and named") {
  const std::string most(max_body, 'm');
  frame_reader reader;
  auto items = read_all(reader, encode(1, frame_type::request, most), 65536);
  REQUIRE(items.size() == 1);
  CHECK(std::get<frame>(items[0]).body == most);

  const auto header = encode(frame_header{.length = max_body + 1, .stream = 9, .type = 1});
  auto input = std::string(header.data(), header.size()) + std::string(max_body + 1, 'o') +
               encode(11, frame_type::request, "after");
  items = read_all(reader, input, 65536);
  REQUIRE(items.size() == 2);
  CHECK(std::get<oversize_frame>(items[0]).header.stream == 9);
  CHECK(std::get<oversize_frame>(items[0]).header.length == max_body + 1);
  CHECK(std::get<frame>(items[1]).body == "after");
}

TEST_CASE("frame: a header that claims 4 GiB makes the reader keep nothing") {
  frame_reader reader;
  const auto items = read_all(reader, bytes("ffffffff 00000001 01 00") + std::string(100, 'z'), 64);
  REQUIRE(items.size() == 1);
  CHECK(std::get<oversize_frame>(items[0]).header.length == 0xffffffff);
  CHECK_FALSE(reader.at_boundary());
}
