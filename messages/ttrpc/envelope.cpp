#include "messages/ttrpc/envelope.hpp"

#include "messages/vocabulary/log.hpp"

#include "ttrpc.pb.h"

#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <mutex>

namespace troupe::ttrpc {
namespace {

/// How many bytes of valid UTF-8 the first character of `text` takes; 0 when it is not valid.
std::size_t utf8_length(std::string_view text) noexcept {
  const auto lead = static_cast<std::uint8_t>(text.front());
  if (lead < 0x80)
    return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length)
    return 0;
  for (const char c : text.substr(1, length - 1))
    if ((static_cast<std::uint8_t>(c) & 0xC0) != 0x80)
      return 0;
  const auto second = static_cast<std::uint8_t>(text[1]);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool beyond = (lead == 0xED && second >= 0xA0) || (lead == 0xF4 && second >= 0x90);
  return overlong || beyond ? 0 : length;
}

std::string to_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const auto length = utf8_length(text);
    valid += length > 0 ? text.substr(0, length) : std::string_view{"?"};
    text.remove_prefix(length > 0 ? length : 1);
  }
  return valid;
}

bool parse(google::protobuf::MessageLite& message, std::string_view body) {
  return message.ParseFromArray(body.data(), static_cast<int>(body.size()));
}

} // namespace

std::string encode_request(const call_request& request) {
  wire::Request message;
  message.set_service(request.service);
  message.set_method(request.method);
  message.set_payload(request.payload);
  message.set_timeout_nano(request.timeout.count());
  for (const auto& [key, value] : request.metadata) {
    auto* entry = message.add_metadata();
    entry->set_key(key);
    entry->set_value(value);
  }
  return message.SerializeAsString();
}

outcome<call_request> decode_request(std::string_view body) {
  wire::Request message;
  if (!parse(message, body))
    return fail(errc::invalid_argument, "ttrpc request: {} bytes do not parse", body.size());
  call_request request{.service = std::move(*message.mutable_service()),
                       .method = std::move(*message.mutable_method()),
                       .payload = std::move(*message.mutable_payload()),
                       .timeout = std::chrono::nanoseconds{message.timeout_nano()},
                       .metadata = {}};
  for (auto& entry : *message.mutable_metadata())
    request.metadata.emplace_back(std::move(*entry.mutable_key()),
                                  std::move(*entry.mutable_value()));
  return request;
}

std::string encode_response(const outcome<std::string>& answer) {
  wire::Response message;
  if (answer) {
    message.set_payload(*answer);
  } else {
    message.mutable_status()->set_code(static_cast<std::int32_t>(to_grpc(answer.error().code)));
    message.mutable_status()->set_message(to_utf8(answer.error().text));
  }
  return message.SerializeAsString();
}

outcome<outcome<std::string>> decode_response(std::string_view body) {
  wire::Response message;
  if (!parse(message, body))
    return fail(errc::peer_fault, "ttrpc response: {} bytes do not parse", body.size());
  const auto code = message.status().code();
  if (code == 0)
    return outcome<std::string>{std::move(*message.mutable_payload())};
  return outcome<std::string>{
      failed{failure{from_grpc(code), std::move(*message.mutable_status()->mutable_message())}}};
}

void quiet_protobuf() {
  static std::once_flag once;
  std::call_once(once, [] {
    google::protobuf::SetLogHandler(
        [](google::protobuf::LogLevel, const char*, int, const std::string& text) {
          log::debug("protobuf", "{}", text);
        });
  });
}

} // namespace troupe::ttrpc
