#include "actors/agent/agent_client.hpp"

#include <algorithm>
#include <utility>

namespace troupe::agent {
namespace {

/// kata-agent answers with the debug print of an error chain. It ends in our log and in
/// containerd's answer, and a guest that was taken over may send anything.
constexpr std::size_t longest_guest_text = 1024;

std::string one_line(std::string text) {
  if (text.size() > longest_guest_text)
    text.replace(longest_guest_text, std::string::npos, "...");
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, ' ');
  return text;
}

ttrpc::client_options options_for(std::function<void(const failure&)> on_closed) {
  return {.peer = "agent",
          .closed = errc::agent_gone,
          .garbage = errc::guest_fault,
          .on_closed = std::move(on_closed)};
}

} // namespace

agent_features features_of(const grpc::AgentDetails& details) {
  const auto has = [&](std::string_view name) {
    return std::ranges::find(details.extra_features(), name) != details.extra_features().end();
  };
  return {.keep_exit = has("troupe.keep-exit"), .read_offset = has("troupe.read-offset")};
}

agent_client::agent_client(ttrpc::stream_socket connection, agent_timeouts timeouts,
                           std::function<void(const failure&)> on_closed)
    : timeouts_(timeouts), client_(std::move(connection), options_for(std::move(on_closed))) {}

milliseconds agent_client::limit_of(patience kind) const noexcept {
  switch (kind) {
  case patience::request:
    return timeouts_.request;
  case patience::create_container:
    return timeouts_.create_container;
  case patience::health:
    return timeouts_.health;
  case patience::endless:
    break;
  }
  return milliseconds{0};
}

void agent_client::send(const names& what, std::string payload, milliseconds left,
                        ttrpc::client::callback done) const {
  auto limit = limit_of(what.limit);
  if (left != milliseconds::max())
    limit = std::max(milliseconds{1}, limit == milliseconds{0} ? left : std::min(limit, left));
  client_.call({.service = std::string{what.service},
                .method = std::string{what.method},
                .payload = std::move(payload),
                .timeout = limit},
               std::move(done));
}

failed agent_client::refused(std::string_view name, failure why) {
  if (why.code == errc::peer_fault)
    why.code = errc::guest_fault;
  why.text = one_line(std::move(why.text));
  return within(name, std::move(why));
}

failed agent_client::unreadable(std::string_view name, std::size_t size) {
  return fail(errc::guest_fault, "{}: the agent's answer of {} bytes does not parse", name, size);
}

} // namespace troupe::agent
