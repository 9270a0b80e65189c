#include "messages/ttrpc/envelope.hpp"
#include "tests/unit/ttrpc/peer.hpp"

using namespace troupe;
using namespace troupe::ttrpc;
using troupe::ttrpc::test::bytes;

// The bytes of docs/wire/ttrpc.md.
TEST_CASE("envelope: a request has the bytes of the document's example") {
  const call_request request{.service = "grpc.Health",
                             .method = "Check",
                             .payload = "hi",
                             .timeout = seconds{1},
                             .metadata = {{"k", "v"}}};
  const auto golden = bytes("0a 0b 67 72 70 63 2e 48 65 61 6c 74 68"
                            "12 05 43 68 65 63 6b"
                            "1a 02 68 69"
                            "20 80 94 eb dc 03"
                            "2a 06 0a 01 6b 12 01 76");
  CHECK(encode_request(request) == golden);
  CHECK(encode(1, frame_type::request, golden).substr(0, 10) == bytes("00000026 00000001 01 00"));
  const auto back = decode_request(golden);
  REQUIRE(back);
  CHECK(back->service == "grpc.Health");
  CHECK(back->method == "Check");
  CHECK(back->payload == "hi");
  CHECK(back->timeout == seconds{1});
  CHECK(back->metadata == metadata{{"k", "v"}});
}

TEST_CASE("envelope: an absent status, code 0 and a response of length 0 are all success") {
  const auto bare = decode_response(bytes("12 01 78"));
  const auto zero = decode_response(bytes("0a 02 08 00 12 01 78"));
  const auto empty = decode_response("");
  REQUIRE((bare && zero && empty));
  CHECK(*bare == outcome<std::string>{"x"});
  CHECK(*zero == outcome<std::string>{"x"});
  CHECK(*empty == outcome<std::string>{""});
}

TEST_CASE("envelope: a status with a code is the peer's failure, with its text") {
  const auto gone = decode_response(bytes("0a 08 08 05 12 04 67 6f 6e 65"));
  REQUIRE(gone);
  CHECK(*gone == outcome<std::string>{failed{failure{errc::not_found, "gone", 0}}});
  const auto odd = decode_response(bytes("0a 03 08 e7 07"));
  REQUIRE(odd);
  CHECK(odd->error().code == errc::peer_fault);
}

TEST_CASE("envelope: answers are written as Go peers write them") {
  CHECK(encode_response(std::string{}).empty());
  CHECK(encode_response(std::string{"x"}) == bytes("12 01 78"));
  CHECK(encode_response(fail(errc::not_found, "gone")) == bytes("0a 08 08 05 12 04 67 6f 6e 65"));
}

TEST_CASE("envelope: a failure text that is not UTF-8 is made so, or the peer drops the answer") {
  const auto said = [](std::string text) {
    return decode_response(encode_response(failed{failure{errc::host_io, std::move(text), 0}}))
        ->error()
        .text;
  };
  CHECK(said("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80") == "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
  CHECK(said("a\xff"
             "b") == "a?b");
  CHECK(said("cut \xe2\x82") == "cut ??");
  CHECK(said("\xc0\xaf \xed\xa0\x80 \xf5\x80\x80\x80") == "?? ??? ????");
}

TEST_CASE("envelope: bytes that are no message are refused on both sides") {
  const auto request = decode_request("\xff\xff rubbish");
  REQUIRE_FALSE(request);
  CHECK(request.error().code == errc::invalid_argument);
  const auto response = decode_response("\xff\xff rubbish");
  REQUIRE_FALSE(response);
  CHECK(response.error().code == errc::peer_fault);
}
