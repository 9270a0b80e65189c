#include "actors/devices/virtio/blk/threads_engine.hpp"

#include <pthread.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <system_error>

namespace troupe::blk {

outcome<std::unique_ptr<threads_engine>> threads_engine::start(block_file& file,
                                                               std::size_t threads) {
  unique_fd event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!event)
    return fail_errno("create eventfd of a disk", errno);
  std::unique_ptr<threads_engine> it{new threads_engine{file, std::move(event)}};
  try {
    for (std::size_t i = 0; i < threads; ++i) {
      it->threads_.emplace_back([raw = it.get()] { raw->loop(); });
      ::pthread_setname_np(it->threads_.back().native_handle(), "blk");
    }
  } catch (const std::system_error& error) {
    return fail_errno("start a thread of a disk", error.code().value());
  }
  return it;
}

threads_engine::~threads_engine() {
  cancel();
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& it : threads_)
    it.join();
}

void threads_engine::start(job& it) noexcept {
  {
    const std::lock_guard lock{mutex_};
    waiting_.push(it);
  }
  wake_.notify_one();
}

job* threads_engine::finished() noexcept {
  const std::lock_guard lock{mutex_};
  return finished_.pop();
}

void threads_engine::cancel() noexcept {
  const std::lock_guard lock{mutex_};
  while (auto* const it = waiting_.pop()) {
    it->error = ECANCELED;
    finished_.push(*it);
  }
  tell();
}

void threads_engine::tell() noexcept {
  // Can only fail when the counter is full, and then the reader is awake anyway.
  (void)::eventfd_write(event_.get(), 1);
}

void threads_engine::loop() noexcept {
  std::unique_lock lock{mutex_};
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    auto* const next = waiting_.pop();
    if (next == nullptr)
      return;
    lock.unlock();
    perform(file_, *next);
    lock.lock();
    finished_.push(*next);
    tell();
  }
}

outcome<std::unique_ptr<engine>> start_threads_engine(block_file& file, std::size_t threads) {
  return TRY(threads_engine::start(file, threads));
}

} // namespace troupe::blk
