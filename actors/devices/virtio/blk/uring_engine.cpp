#include "actors/devices/virtio/blk/threads_engine.hpp"

#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace troupe::blk {
namespace {

/// Bytes up to which the submitting loop may move them itself when the host has them at hand; more
/// would keep the loop's other devices waiting.
constexpr std::size_t quick_transfer = 64U << 10;

/// The ring itself, closed with the object.
class ring {
public:
  ring() noexcept = default;
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  ~ring() {
    if (open_)
      ::io_uring_queue_exit(&it_);
  }

  outcome<void> open(unsigned entries) {
    const auto error = ::io_uring_queue_init(entries, &it_, 0);
    if (error == -EMFILE || error == -ENFILE) // Threads want a descriptor, too.
      return fail_errno("disk: make an io_uring", -error);
    if (error < 0)
      return fail(errc::unimplemented, "disk: io_uring refused, errno {}", -error);
    open_ = true;
    return {};
  }
  io_uring* get() noexcept { return &it_; }

private:
  io_uring it_{};
  bool open_ = false;
};

outcome<void> check_operations(io_uring* of) {
  auto* const probe = ::io_uring_get_probe_ring(of);
  const auto complete = probe != nullptr &&
                        ::io_uring_opcode_supported(probe, IORING_OP_READV) != 0 &&
                        ::io_uring_opcode_supported(probe, IORING_OP_WRITEV) != 0 &&
                        ::io_uring_opcode_supported(probe, IORING_OP_FSYNC) != 0 &&
                        ::io_uring_opcode_supported(probe, IORING_OP_ASYNC_CANCEL) != 0;
  ::io_uring_free_probe(probe);
  if (!complete)
    return fail(errc::unimplemented, "disk: io_uring lacks operations");
  return {};
}

std::size_t total(const job& it) noexcept {
  std::size_t sum = 0;
  for (const auto& part : it.buffers)
    sum += part.iov_len;
  return it.what == job::operation::flush ? 0 : sum;
}

class uring_engine final : public engine {
public:
  explicit uring_engine(block_file& file) : file_(file) {}
  ~uring_engine() override;

  outcome<void> open(std::size_t jobs, std::size_t workers);

  [[nodiscard]] int event() const noexcept override { return rest_->event(); }
  void start(job& it) noexcept override;
  [[nodiscard]] bool kick() noexcept override;
  [[nodiscard]] job* finished() noexcept override;
  void cancel() noexcept override;

private:
  [[nodiscard]] io_uring_sqe* slot() noexcept;
  [[nodiscard]] bool submit(job& it) noexcept;
  [[nodiscard]] bool settled(job& it, int result) noexcept;

  block_file& file_;
  ring ring_;
  std::unique_ptr<threads_engine> rest_;
  std::size_t running_ = 0; // in the ring
};

outcome<void> uring_engine::open(std::size_t jobs, std::size_t workers) {
  TRY(ring_.open(static_cast<unsigned>(jobs)));
  TRY(check_operations(ring_.get()));
  rest_ = TRY(threads_engine::start(file_, 1));
  // What may block is done by threads of the kernel's; the second number is of sockets and the
  // like.
  std::array<unsigned, 2> most{static_cast<unsigned>(workers), 0};
  auto error = ::io_uring_register_iowq_max_workers(ring_.get(), most.data());
  if (error < 0)
    return fail(errc::unimplemented, "disk: io_uring without a limit of workers, errno {}", -error);
  error = ::io_uring_register_eventfd(ring_.get(), rest_->event());
  if (error < 0)
    return fail(errc::unimplemented, "disk: io_uring without eventfd, errno {}", -error);
  return {};
}

// The kernel may write into buffers of jobs until it has said that they ended.
uring_engine::~uring_engine() {
  if (!rest_)
    return;
  cancel();
  while (running_ > 0) {
    io_uring_cqe* it = nullptr;
    if (::io_uring_wait_cqe(ring_.get(), &it) < 0)
      continue;
    running_ -= ::io_uring_cqe_get_data(it) != nullptr ? 1 : 0;
    ::io_uring_cqe_seen(ring_.get(), it);
  }
}

io_uring_sqe* uring_engine::slot() noexcept {
  auto* it = ::io_uring_get_sqe(ring_.get());
  if (it == nullptr) {
    (void)kick();
    it = ::io_uring_get_sqe(ring_.get());
  }
  return it;
}

// False when the ring cannot do it.
bool uring_engine::submit(job& it) noexcept {
  const auto moves = it.what == job::operation::read || it.what == job::operation::write;
  if (it.injected != 0 || (!moves && it.what != job::operation::flush))
    return false;
  const auto fd = file_.direct(it.buffers);
  auto* const to = fd >= 0 ? slot() : nullptr;
  if (to == nullptr)
    return false;
  const auto count = static_cast<unsigned>(it.buffers.size());
  if (it.what == job::operation::read)
    ::io_uring_prep_readv(to, fd, it.buffers.data(), count, it.at);
  else if (it.what == job::operation::write)
    ::io_uring_prep_writev2(to, fd, it.buffers.data(), count, it.at, it.durable ? RWF_DSYNC : 0);
  else
    ::io_uring_prep_fsync(to, fd, IORING_FSYNC_DATASYNC);
  if (total(it) > quick_transfer)
    ::io_uring_sqe_set_flags(to, IOSQE_ASYNC);
  ::io_uring_sqe_set_data(to, &it);
  ++running_;
  return true;
}

void uring_engine::start(job& it) noexcept {
  if (!submit(it))
    rest_->start(it);
}

bool uring_engine::kick() noexcept {
  if (::io_uring_sq_ready(ring_.get()) > 0)
    (void)::io_uring_submit(ring_.get());
  return ::io_uring_sq_ready(ring_.get()) == 0;
}

// False when the job goes on elsewhere: calls that the kernel cut short are done again as a whole.
bool uring_engine::settled(job& it, int result) noexcept {
  it.error = result < 0 ? -result : 0;
  const auto partial = result >= 0 && static_cast<std::size_t>(result) != total(it);
  if (!partial && it.error != EINTR && it.error != EAGAIN)
    return true;
  rest_->start(it);
  return false;
}

job* uring_engine::finished() noexcept {
  io_uring_cqe* entry = nullptr;
  while (::io_uring_peek_cqe(ring_.get(), &entry) == 0) {
    auto* const it = static_cast<job*>(::io_uring_cqe_get_data(entry));
    const auto result = entry->res;
    ::io_uring_cqe_seen(ring_.get(), entry);
    if (it == nullptr)
      continue;
    --running_;
    if (settled(*it, result))
      return it;
  }
  return rest_->finished();
}

void uring_engine::cancel() noexcept {
  if (running_ > 0)
    if (auto* const to = slot(); to != nullptr) {
      ::io_uring_prep_cancel(to, nullptr, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
      ::io_uring_sqe_set_data(to, nullptr);
      (void)kick();
    }
  rest_->cancel();
}

} // namespace

outcome<std::unique_ptr<engine>> start_uring_engine(block_file& file, std::size_t jobs,
                                                    std::size_t workers) {
  auto it = std::make_unique<uring_engine>(file);
  TRY(it->open(jobs, workers));
  return it;
}

} // namespace troupe::blk
