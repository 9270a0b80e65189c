#pragma once

#include "actors/container/io/stream_source.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "tests/support/scratch.hpp"
#include "tests/unit/ttrpc/peer.hpp"

#include <asio/post.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace troupe::stdio::test {

using ttrpc::test::run_until;

/// A folder with fifos as containerd makes them.
struct fifo_folder : troupe::test::scratch_folder {
  [[nodiscard]] std::string fifo(const std::string& name) const {
    REQUIRE(::mkfifo(file(name).c_str(), 0700) == 0);
    return file(name);
  }
};

inline unique_fd open_end(const std::string& path, int flags) {
  unique_fd fd{::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC)};
  REQUIRE(fd);
  return fd;
}

/// What can be read now; `ended` tells the end of the stream from an empty fifo.
struct read_result {
  std::string bytes;
  bool ended = false;
};
inline read_result read_now(int fd, std::size_t most = 1U << 20) {
  std::string buffer(most, '\0');
  const auto n = ::read(fd, buffer.data(), buffer.size());
  return {buffer.substr(0, n > 0 ? static_cast<std::size_t>(n) : 0), n == 0};
}

/// The streams of a process that the test plays.
class memory_streams final : public stream_source {
public:
  explicit memory_streams(asio::io_context& io) : io_(io) {}

  void read(output which, std::uint64_t offset, std::uint32_t most,
            std::function<void(outcome<std::string>)> done) override {
    offsets[which].push_back(offset);
    waiting_[which] = {most, std::move(done)};
    serve(which);
  }
  void write(std::string bytes, std::function<void(outcome<std::size_t>)> done) override {
    const auto taken = std::min(bytes.size(), take_at_most);
    outcome<std::size_t> answer = taken;
    if (write_fails)
      answer = failed{*write_fails};
    else
      input += bytes.substr(0, taken);
    asio::post(io_, [answer, done = std::move(done)] { done(answer); });
  }
  void close_input(std::function<void(outcome<void>)> done) override {
    ++input_closed;
    asio::post(io_, [done = std::move(done)] { done({}); });
  }

  void print(output which, const std::string& bytes) {
    left[which] += bytes;
    serve(which);
  }
  void end(output which) {
    ended_[which] = true;
    serve(which);
  }
  void fail_read(output which, failure why) {
    failures_[which] = std::move(why);
    serve(which);
  }

  std::map<output, std::string> left;
  std::map<output, std::vector<std::uint64_t>> offsets;
  std::string input;
  int input_closed = 0;
  std::size_t take_at_most = 1U << 20;
  std::size_t give_beyond = 0; ///< Bytes given on top of what was asked: a source that lies.
  std::optional<failure> write_fails;

private:
  struct read_call {
    std::uint32_t most = 0;
    std::function<void(outcome<std::string>)> done;
  };

  void serve(output which) {
    auto& bytes = left[which];
    if (!waiting_[which].done || (bytes.empty() && !ended_[which] && !failures_.contains(which)))
      return;
    auto call = std::exchange(waiting_[which], {});
    outcome<std::string> answer = bytes.substr(0, call.most + give_beyond);
    if (failures_.contains(which))
      answer = failed{failures_.at(which)};
    else
      bytes.erase(0, answer->size());
    asio::post(io_, [answer, done = std::move(call.done)] { done(answer); });
  }

  asio::io_context& io_;
  std::map<output, read_call> waiting_;
  std::map<output, bool> ended_;
  std::map<output, failure> failures_;
};

} // namespace troupe::stdio::test
