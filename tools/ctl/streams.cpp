#include "tools/ctl/streams.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>

namespace troupe::ctl {
namespace {

constexpr std::size_t copy_size = 65536; // a fifo's capacity

/// Blocks. False: the reader of our output has gone.
bool write_all(int fd, std::span<const char> bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      continue;
    }
    pollfd ready{fd, POLLOUT, 0}; // somebody else may have made our standard streams non-blocking
    if (errno == EAGAIN)
      (void)::poll(&ready, 1, -1);
    else if (errno != EINTR)
      return false;
  }
  return true;
}

/// True when `fd` is ready, false when it is time to stop.
bool wait_for(int fd, short events, int stop) {
  std::array<pollfd, 2> ready{pollfd{fd, events, 0}, pollfd{stop, POLLIN, 0}};
  while (::poll(ready.data(), ready.size(), -1) < 0)
    if (errno != EINTR)
      return false;
  return ready[0].revents != 0;
}

/// Until told to stop, and then what is left. Goes on reading when nobody takes the bytes: the
/// workload must not hang because a pipe behind us has closed.
void copy_output(int fifo, int to, int stop) {
  std::array<char, copy_size> bytes;
  bool taken = true;
  while (wait_for(fifo, POLLIN, stop)) {
    const auto n = ::read(fifo, bytes.data(), bytes.size());
    if (n > 0 && taken)
      taken = write_all(to, {bytes.data(), static_cast<std::size_t>(n)});
  }
}

/// The fifo is non-blocking: a process that does not read must not keep us from stopping.
bool feed(int fifo, std::span<const char> bytes, int stop) {
  while (!bytes.empty()) {
    if (!wait_for(fifo, POLLOUT, stop))
      return false;
    const auto n = ::write(fifo, bytes.data(), bytes.size());
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return false;
    if (n > 0)
      bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

void copy_input(const unique_fd& fifo, int stop) {
  std::array<char, copy_size> bytes;
  while (wait_for(STDIN_FILENO, POLLIN, stop)) {
    const auto n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
      return;
    if (n > 0 && !feed(fifo.get(), {bytes.data(), static_cast<std::size_t>(n)}, stop))
      return;
  }
}

} // namespace

/// Opened for both directions: no open waits, and no end is seen while the other side comes and
/// goes.
outcome<unique_fd> streams::make_fifo(const std::string& path) {
  if (::mkfifo(path.c_str(), 0600) != 0)
    return fail_errno("mkfifo " + path, errno);
  unique_fd fd{::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)};
  if (!fd)
    return fail_errno("open " + path, errno);
  return fd;
}

outcome<std::unique_ptr<streams>> streams::open(const std::string& folder, bool terminal) {
  std::unique_ptr<streams> made{new streams};
  auto& paths = made->paths_;
  paths.terminal = terminal;
  paths.out = folder + "/stdout";
  made->stop_.reset(::eventfd(0, EFD_CLOEXEC));
  if (!made->stop_)
    return fail_errno("eventfd", errno);
  made->out_ = TRY(made->make_fifo(paths.out));
  if (!terminal) {
    paths.err = folder + "/stderr";
    made->err_ = TRY(made->make_fifo(paths.err));
  }
  if (terminal || ::isatty(STDIN_FILENO) == 0) {
    paths.in = folder + "/stdin";
    made->in_ = TRY(made->make_fifo(paths.in));
  }
  const int stop = made->stop_.get();
  made->out_thread_ =
      std::thread{[fd = made->out_.get(), stop] { copy_output(fd, STDOUT_FILENO, stop); }};
  if (made->err_)
    made->err_thread_ =
        std::thread{[fd = made->err_.get(), stop] { copy_output(fd, STDERR_FILENO, stop); }};
  return made;
}

void streams::start_input() {
  if (!in_)
    return;
  in_thread_ = std::thread{[fifo = std::move(in_), stop = stop_.get()] { copy_input(fifo, stop); }};
}

void streams::finish() {
  if (stop_)
    ::eventfd_write(stop_.get(), 1);
  for (auto* thread : {&in_thread_, &out_thread_, &err_thread_})
    if (thread->joinable())
      thread->join();
}

} // namespace troupe::ctl
