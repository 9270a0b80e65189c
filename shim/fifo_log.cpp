#include "shim/fifo_log.hpp"

#include "messages/vocabulary/unique_fd.hpp"

#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <memory>

namespace troupe::shim {
namespace {

/// Opened for reading, too: so a containerd that restarts finds the fifo alive and we never see
/// EPIPE.
unique_fd open_fifo(const std::string& path) {
  unique_fd fd{::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)};
  struct stat found {};
  if (fd && ::fstat(fd.get(), &found) == 0 && S_ISFIFO(found.st_mode))
    return fd;
  return {};
}

/// log::write calls it under its own lock, hence no mutex here.
class fifo_sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
public:
  explicit fifo_sink(unique_fd fd) : fd_(std::move(fd)) {}

private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (lost_ > 0 && put(fmt::format("level=warning msg=\"{} log lines lost\"\n", lost_)))
      lost_ = 0;
    if (!put({line.data(), line.size()}))
      ++lost_;
  }
  void flush_() override {}

  /// Lines up to PIPE_BUF are written whole or not at all.
  bool put(std::string_view text) const {
    return ::write(fd_.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }

  unique_fd fd_;
  std::size_t lost_ = 0;
};

spdlog::level::level_enum to_spdlog(log::level severity) noexcept {
  return static_cast<spdlog::level::level_enum>(severity);
}

/// One line, quotes escaped, as logrus prints it: msg="...".
std::string quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

} // namespace

void log_to(const std::string& path) {
  spdlog::sink_ptr sink;
  if (auto fifo = open_fifo(path))
    sink = std::make_shared<fifo_sink>(std::move(fifo));
  else
    sink = std::make_shared<spdlog::sinks::stderr_sink_st>();
  auto logger = std::make_shared<spdlog::logger>("troupe", sink);
  logger->set_pattern("time=\"%Y-%m-%dT%H:%M:%S.%f%z\" level=%l %v");
  logger->set_level(spdlog::level::trace);
  log::set_sink([logger](const log::record& r) {
    logger->log(to_spdlog(r.severity), "msg=\"{}\" actor={}", quoted(r.text), r.who);
  });
}

} // namespace troupe::shim
