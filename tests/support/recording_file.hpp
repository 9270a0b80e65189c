#pragma once

#include "actors/devices/virtio/blk/block_file.hpp"

#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace troupe::testing {

/// A disk without a host: bytes in memory, what is safe from a power cut kept apart from what is
/// only written, a diary of all calls, and faults and delays on demand.
class recording_file final : public blk::block_file {
public:
  /// Outlives the file, which a disk owns.
  struct medium {
    explicit medium(byte_count size) : cached(size, '\0'), safe(size, '\0') {}

    /// What remains after the power went.
    [[nodiscard]] std::string after_power_cut() {
      const std::lock_guard lock{mutex};
      return safe;
    }
    [[nodiscard]] std::string text(std::size_t at, std::size_t size) {
      const std::lock_guard lock{mutex};
      return cached.substr(at, size);
    }
    [[nodiscard]] std::vector<std::string> calls() {
      const std::lock_guard lock{mutex};
      return diary;
    }
    /// Calls that begin wait until it is opened again.
    void close_gate() {
      const std::lock_guard lock{mutex};
      open = false;
    }
    void open_gate() {
      const std::lock_guard lock{mutex};
      open = true;
      changed.notify_all();
    }
    /// Until that many calls have begun.
    void await_calls(std::size_t count) {
      std::unique_lock lock{mutex};
      changed.wait(lock, [&] { return diary.size() >= count; });
    }

    std::mutex mutex; // Guards all below.
    std::condition_variable changed;
    std::string cached;
    std::string safe;
    std::vector<std::string> diary;
    bool open = true;
    blk::io_error fails = 0; // answered by every call
  };

  recording_file(std::shared_ptr<medium> of, blk::geometry shape)
      : medium_(std::move(of)), shape_(shape) {}

  const blk::geometry& shape() const noexcept override { return shape_; }

  blk::io_error read(byte_count at, std::span<const iovec> into) noexcept override {
    return call("read", [&](medium& it) {
      for (auto position = at; const auto& part : into) {
        std::memcpy(part.iov_base, it.cached.data() + position, part.iov_len);
        position += part.iov_len;
      }
    });
  }
  blk::io_error write(byte_count at, std::span<const iovec> from, bool durable) noexcept override {
    return call(durable ? "durable write" : "write", [&](medium& it) {
      for (auto position = at; const auto& part : from) {
        std::memcpy(it.cached.data() + position, part.iov_base, part.iov_len);
        if (durable)
          std::memcpy(it.safe.data() + position, part.iov_base, part.iov_len);
        position += part.iov_len;
      }
    });
  }
  blk::io_error flush() noexcept override {
    return call("flush", [](medium& it) { it.safe = it.cached; });
  }
  blk::io_error discard(byte_count at, byte_count length) noexcept override {
    return call("discard", [&](medium& it) { it.cached.replace(at, length, length, '?'); });
  }
  blk::io_error zero(byte_count at, byte_count length, bool unmap) noexcept override {
    return call(unmap ? "zero, unmap" : "zero",
                [&](medium& it) { it.cached.replace(at, length, length, '\0'); });
  }
  int direct(std::span<const iovec>) const noexcept override { return -1; }

private:
  template <class Work>
  blk::io_error call(const char* what, const Work& work) noexcept {
    std::unique_lock lock{medium_->mutex};
    medium_->diary.emplace_back(what);
    medium_->changed.notify_all();
    medium_->changed.wait(lock, [this] { return medium_->open; });
    if (medium_->fails == 0)
      work(*medium_);
    return medium_->fails;
  }

  std::shared_ptr<medium> medium_;
  blk::geometry shape_;
};

} // namespace troupe::testing
