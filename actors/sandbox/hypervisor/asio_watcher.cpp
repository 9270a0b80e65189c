#include "actors/sandbox/hypervisor/asio_watcher.hpp"

#include "messages/vocabulary/log.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <asio/posix/stream_descriptor.hpp>

#include <cerrno>
#include <exception>
#include <fcntl.h>

namespace troupe::hypervisor {
namespace {

class watch : public std::enable_shared_from_this<watch> {
public:
  watch(asio::io_context& loop, unique_fd fd, std::function<bool()> on_readable)
      : descriptor_(loop, fd.get()), on_readable_(std::move(on_readable)) {
    (void)fd.release(); // the descriptor closes it
  }

  void arm() {
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [self = shared_from_this()](const std::error_code& error) {
                             if (!error && self->again())
                               self->arm();
                           });
  }

private:
  bool again() noexcept {
    try {
      return on_readable_();
    } catch (const std::exception& error) {
      log::error("hypervisor/watch", "a callback threw: {}", error.what());
      return false;
    }
  }

  asio::posix::stream_descriptor descriptor_;
  std::function<bool()> on_readable_;
};

} // namespace

outcome<void> asio_watcher::watch(int fd, std::function<bool()> on_readable) {
  unique_fd copy{::fcntl(fd, F_DUPFD_CLOEXEC, 0)};
  if (!copy)
    return fail_errno("hypervisor: watch a descriptor", errno);
  try {
    std::make_shared<hypervisor::watch>(loop_, std::move(copy), std::move(on_readable))->arm();
  } catch (const std::system_error& error) {
    return fail_errno("hypervisor: watch a descriptor", error.code().value());
  }
  return {};
}

} // namespace troupe::hypervisor
