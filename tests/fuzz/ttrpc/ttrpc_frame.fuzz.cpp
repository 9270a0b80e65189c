// Bytes of a ttRPC peer: the frame reader must cut them the same way however they are split, and
// the envelope decoders must take or refuse every body.
#include "messages/ttrpc/envelope.hpp"
#include "messages/ttrpc/frame.hpp"

#include <cstdint>
#include <cstdlib>
#include <vector>

using namespace troupe::ttrpc;

namespace {

void must(bool holds) {
  if (!holds)
    std::abort();
}

std::vector<frame_reader::item> read_all(std::string_view bytes, std::size_t step) {
  frame_reader reader;
  std::vector<frame_reader::item> items;
  while (!bytes.empty()) {
    auto part = bytes.substr(0, step);
    bytes.remove_prefix(part.size());
    while (auto item = reader.next(part))
      items.push_back(std::move(*item));
  }
  return items;
}

void decode(const frame& received) {
  must(received.body.size() == received.header.length && received.body.size() <= max_body);
  if (const auto request = decode_request(received.body)) {
    const auto again = decode_request(encode_request(*request));
    must(again && again->method == request->method && again->payload == request->payload &&
         again->timeout == request->timeout && again->metadata == request->metadata);
  }
  if (const auto response = decode_response(received.body))
    must(bool{decode_response(encode_response(*response))});
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  quiet_protobuf();
  const std::string bytes(data, data + size);
  const auto whole = read_all(bytes, bytes.size() + 1);
  const auto split = read_all(bytes, 3);
  must(whole.size() == split.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const auto* one = std::get_if<frame>(&whole[i]);
    const auto* other = std::get_if<frame>(&split[i]);
    must((one == nullptr) == (other == nullptr));
    if (one == nullptr)
      continue;
    must(one->header == other->header && one->body == other->body);
    decode(*one);
  }
  return 0;
}
