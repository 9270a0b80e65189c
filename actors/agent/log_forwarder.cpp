#include "actors/agent/log_forwarder.hpp"

#include <asio/buffer.hpp>
#include <asio/post.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace troupe::agent {
namespace {

/// Keys that every line has and that say nothing the host's own record does not.
constexpr std::array<std::string_view, 8> standing_keys{"msg",  "level",  "ts",        "version",
                                                        "name", "source", "subsystem", "pid"};

log::level level_of(std::string_view word) noexcept {
  using enum log::level;
  constexpr std::array<std::pair<std::string_view, log::level>, 6> words{{
      {"TRCE", trace},
      {"DEBG", debug},
      {"INFO", info},
      {"WARN", warn},
      {"ERRO", error},
      {"CRIT", error},
  }};
  const auto* found =
      std::ranges::find(words, word, &std::pair<std::string_view, log::level>::first);
  return found == words.end() ? info : found->second;
}

std::string text_of(const nlohmann::json& object, std::string_view key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string{};
}

/// Lists and objects are not spelled out: a deep one would cost a stack frame a level.
std::string value_text(const nlohmann::json& value) {
  if (value.is_string())
    return value.get<std::string>();
  return value.is_structured() ? "..." : value.dump();
}

std::string plain(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, ' ');
  return text;
}

} // namespace

log_line parse_log_line(std::string_view line) {
  const auto object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object())
    return {log::level::info, plain(std::string{line})};
  auto text = text_of(object, "msg");
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(standing_keys, key) != standing_keys.end())
      continue;
    text += ' ' + key + '=';
    text += value_text(value);
  }
  return {level_of(text_of(object, "level")), plain(std::move(text))};
}

std::optional<std::string> line_cutter::next(std::string_view& bytes) {
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    const auto part = bytes.substr(0, end);
    line_ += part.substr(0, longest_log_line - line_.size());
    bytes.remove_prefix(std::min(bytes.size(), part.size() + 1));
    if (end != std::string_view::npos && !line_.empty())
      return std::exchange(line_, {});
  }
  return std::nullopt;
}

bool line_budget::admit(time_point now) noexcept {
  if (now - second_ >= seconds{1}) {
    second_ = now;
    used_ = 0;
  }
  const bool fits = used_ < lines_per_second;
  fits ? ++used_ : ++dropped_;
  return fits;
}

std::uint64_t line_budget::take_dropped() noexcept {
  return std::exchange(dropped_, 0);
}

class log_forwarder::core : public std::enable_shared_from_this<core> {
public:
  core(ttrpc::stream_socket connection, std::string who, std::function<void()> on_end)
      : socket_(std::move(connection)), who_(std::move(who)), on_end_(std::move(on_end)) {}

  [[nodiscard]] auto where() { return socket_.get_executor(); }

  void read() {
    const auto done = [self = shared_from_this()](const asio::error_code& error, std::size_t n) {
      if (!self->on_end_)
        return;
      if (error)
        return self->end();
      self->take({self->bytes_.data(), n});
      self->read();
    };
    socket_.async_read_some(asio::buffer(bytes_), done);
  }

  void close() {
    on_end_ = nullptr;
    asio::error_code ignored;
    socket_.close(ignored);
  }

private:
  void take(std::string_view bytes) {
    while (const auto line = lines_.next(bytes)) {
      if (!budget_.admit(monotonic_clock::now()))
        continue;
      if (const auto dropped = budget_.take_dropped(); dropped > 0)
        log::warn(who_, "{} log lines dropped: more than {} in a second", dropped,
                  line_budget::lines_per_second);
      const auto [severity, text] = parse_log_line(*line);
      if (log::enabled(severity))
        log::write(severity, who_, text);
    }
  }

  void end() {
    const auto tell = std::exchange(on_end_, nullptr);
    close();
    tell();
  }

  ttrpc::stream_socket socket_;
  std::string who_;
  std::function<void()> on_end_;
  line_cutter lines_;
  line_budget budget_;
  std::array<char, 4096> bytes_{};
};

log_forwarder::log_forwarder(ttrpc::stream_socket connection, std::string who,
                             std::function<void()> on_end)
    : core_(std::make_shared<core>(
          std::move(connection), std::move(who), on_end ? std::move(on_end) : [] {})) {
  asio::post(core_->where(), [core = core_] { core->read(); });
}

log_forwarder::~log_forwarder() {
  if (core_)
    asio::post(core_->where(), [core = core_] { core->close(); });
}

} // namespace troupe::agent
