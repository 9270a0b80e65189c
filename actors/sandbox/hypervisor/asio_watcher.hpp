#pragma once

#include "actors/sandbox/hypervisor/hypervisor.hpp"

#include <asio/io_context.hpp>

namespace troupe::hypervisor {

/// The fd_watcher over an asio loop, which outlives it and every watch. Callbacks run on the
/// thread(s) that run the loop.
class asio_watcher final : public fd_watcher {
public:
  explicit asio_watcher(asio::io_context& loop) : loop_(loop) {}
  [[nodiscard]] outcome<void> watch(int fd, std::function<bool()> on_readable) override;

private:
  asio::io_context& loop_;
};

} // namespace troupe::hypervisor
