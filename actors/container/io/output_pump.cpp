#include "actors/container/io/output_pump.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace troupe::stdio {

outcome<void> output_pump::attach(output_end end) {
  nowhere_ = !end.fd;
  if (!end.is_fifo()) {
    file_ = std::move(end.fd);
    return {};
  }
  asio::error_code error;
  target_.assign(end.fd.get(), error);
  if (error)
    return fail_errno(fmt::format("{}: watch the fifo", name(which_)), error.value());
  static_cast<void>(end.fd.release());
  keeper_ = std::move(end.keeper);
  return {};
}

void output_pump::run(std::shared_ptr<stream_source> source) {
  if (closed_ || ended_)
    return;
  source_ = std::move(source);
  ++run_;
  resting_ = false;
  if (!broken_)
    report_.failed.reset();
  read();
}

void output_pump::read() {
  const auto offset = report_.bytes + report_.lost;
  source_->read(which_, offset, read_size,
                [self = shared_from_this(), run = run_](outcome<std::string> bytes) {
                  if (!self->closed_ && self->run_ == run)
                    self->take(std::move(bytes));
                });
}

void output_pump::take(outcome<std::string> bytes) {
  if (!bytes && bytes.error().code == errc::not_found)
    bytes = std::string{}; // The process is gone and everything it wrote was read.
  if (!bytes)
    return rest(std::move(bytes).error());
  if (bytes->size() > read_size)
    return rest(failure{
        errc::guest_fault,
        fmt::format("{}: {} bytes came, {} were asked for", name(which_), bytes->size(), read_size),
        0});
  if (bytes->empty()) {
    ended_ = true;
    return rest(std::move(report_.failed));
  }
  bytes_ = *std::move(bytes);
  written_ = nowhere_ ? bytes_.size() : 0;
  write();
}

int output_pump::fd() noexcept {
  return target_.is_open() ? target_.native_handle() : file_.get();
}

void output_pump::write() {
  while (!broken_ && written_ < bytes_.size()) {
    const auto n = ::write(fd(), bytes_.data() + written_, bytes_.size() - written_);
    if (n >= 0)
      written_ += static_cast<std::size_t>(n);
    else if (errno == EAGAIN)
      return wait_writable();
    else if (errno != EINTR)
      target_failed(errno);
  }
  report_.bytes += written_;
  report_.lost += bytes_.size() - written_;
  bytes_.clear();
  read();
}

void output_pump::target_failed(int error) {
  broken_ = true;
  report_.failed = fail_errno(fmt::format("{}: write", name(which_)), error).value();
}

void output_pump::wait_writable() {
  const auto ready = [self = shared_from_this()](const asio::error_code& error) {
    if (!error && !self->closed_)
      self->write();
  };
  target_.async_wait(asio::posix::stream_descriptor::wait_write, ready);
}

// The keeper stays until close(): with it, what the fifo holds waits for a reader that comes late.
void output_pump::rest(std::optional<failure> why) {
  report_.failed = std::move(why);
  resting_ = true;
  asio::error_code ignored;
  if (ended_) {
    target_.close(ignored);
    file_.reset();
  }
  rest_();
}

void output_pump::close() {
  closed_ = true;
  asio::error_code ignored;
  target_.close(ignored);
  file_.reset();
  keeper_.reset();
  source_.reset();
}

} // namespace troupe::stdio
