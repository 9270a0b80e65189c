#include "actors/devices/virtio/vsock/connection.hpp"

#include "actors/vcpu/memory/access_raw.hpp"

namespace troupe::vsock {
namespace {

std::size_t total(std::span<const iovec> parts) {
  std::size_t sum = 0;
  for (const auto& it : parts)
    sum += it.iov_len;
  return sum;
}

} // namespace

void connection::note_credit(const header& from) noexcept {
  peer_buffer_ = from.buffer_size;
  peer_forwarded_ = from.forwarded;
}

std::uint32_t connection::credit() const noexcept {
  const auto in_flight = sent_ - peer_forwarded_; // Wraps as both counters do.
  return in_flight >= peer_buffer_ ? 0 : peer_buffer_ - in_flight;
}

bool connection::from_guest(std::span<const iovec> payload, std::size_t length) {
  if (guest_ended_ || length > buffer_size - buffered())
    return false;
  const auto done = buffered() == 0 ? write_now(payload) : 0;
  forwarded(done);
  if (done == length)
    return true;
  backlog_.erase(backlog_.begin(), backlog_.begin() + static_cast<std::ptrdiff_t>(backlog_start_));
  backlog_start_ = 0;
  const auto old = backlog_.size();
  backlog_.resize(old + (length - done));
  memory::raw::gather(payload, done, std::span{backlog_}.subspan(old));
  watch();
  return true;
}

// What the host's end took, or all of it when there is nobody to take it.
std::size_t connection::write_now(std::span<const iovec> payload) {
  if (host_deaf_ || payload.empty())
    return total(payload);
  const auto result = host_->write(payload);
  if (result.how == transfer::end::moved)
    return result.bytes;
  if (result.how == transfer::end::blocked)
    return 0;
  host_deaf_ = true;
  return total(payload);
}

void connection::forwarded(std::size_t bytes) noexcept {
  forwarded_ += static_cast<std::uint32_t>(bytes);
  if (forwarded_ - forwarded_told_ >= credit_lag)
    owed.credit_update = true;
}

void connection::flush() {
  while (buffered() > 0) {
    const iovec rest{backlog_.data() + backlog_start_, buffered()};
    const auto done = write_now({&rest, 1});
    if (done == 0)
      break;
    backlog_start_ += done;
    forwarded(done);
  }
  if (buffered() == 0) {
    backlog_ = {}; // An idle connection holds no memory.
    backlog_start_ = 0;
  }
  end_writing_if_done();
  watch();
}

void connection::end_writing_if_done() noexcept {
  if (guest_ended_ && buffered() == 0 && !host_deaf_) {
    host_->end_writing();
    host_deaf_ = true;
  }
}

transfer connection::to_guest(std::span<const iovec> room) {
  const auto result = host_->read(memory::raw::window(room, 0, credit()));
  switch (result.how) {
  case transfer::end::moved:
    sent_ += static_cast<std::uint32_t>(result.bytes);
    owed.credit_request = credit() == 0;
    break;
  case transfer::end::blocked:
    readable_ = false;
    watch();
    break;
  case transfer::end::ended:
    host_ended_ = true;
    owed.shutdown = true;
    break;
  case transfer::end::broken:
    break;
  }
  return result;
}

void connection::established() {
  phase_ = phase::established;
  deadline.reset();
  watch();
}

void connection::watch() {
  if (hung_up_)
    return;
  const auto wants_data =
      phase_ == phase::established && !readable_ && !host_ended_ && !guest_deaf_;
  host_->watch(wants_data, buffered() > 0);
}

void connection::guest_shutdown(std::uint32_t flags) {
  if ((flags & shutdown_receive) != 0 && !guest_deaf_) {
    guest_deaf_ = true;
    host_->end_reading();
  }
  if ((flags & shutdown_send) != 0) {
    guest_ended_ = true;
    end_writing_if_done();
  }
  if (guest_deaf_ && guest_ended_) {
    phase_ = phase::draining;
    deadline.reset();
  }
  watch();
}

void connection::host_ready(readiness what) {
  readable_ = readable_ || what.readable || what.hung_up;
  if (what.hung_up) {
    hung_up_ = true;
    host_deaf_ = true;
    owed.shutdown = owed.shutdown || host_ended_ || guest_deaf_;
  }
  owed.credit_request = owed.credit_request || (can_read() && credit() == 0);
  flush();
}

bool connection::wants_packet() const noexcept {
  if (phase_ == phase::draining)
    return false;
  return owed.request || owed.response || owed.shutdown || owed.credit_update ||
         owed.credit_request || (phase_ == phase::established && can_read() && credit() > 0);
}

std::uint32_t connection::shutdown_flags() const noexcept {
  return hung_up_ ? shutdown_both : shutdown_send;
}

bool connection::finished() const noexcept {
  return phase_ == phase::draining && buffered() == 0;
}

void connection::stamp(header& onto) noexcept {
  onto.buffer_size = buffer_size;
  onto.forwarded = forwarded_;
  forwarded_told_ = forwarded_;
  owed.credit_update = false;
}

} // namespace troupe::vsock
