#include "guest/agent/core/workers.hpp"

#include <utility>

namespace troupe::guest {

workers::~workers() {
  {
    const std::lock_guard lock{guard_};
    stopping_ = true;
    jobs_.clear();
  }
  wake_.notify_all();
  for (auto& thread : threads_)
    thread.join();
}

outcome<void> workers::run(std::function<void()> job) {
  const std::lock_guard lock{guard_};
  if (jobs_.size() >= max_waiting_jobs)
    return fail(errc::resource_exhausted, "agent: {} calls wait already", jobs_.size());
  jobs_.push_back(std::move(job));
  if (idle_ < jobs_.size() && threads_.size() < max_workers)
    threads_.emplace_back([this] { serve(); });
  wake_.notify_one();
  return {};
}

void workers::serve() {
  std::unique_lock lock{guard_};
  for (;;) {
    ++idle_;
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    --idle_;
    if (stopping_)
      return;
    const auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    lock.lock();
  }
}

} // namespace troupe::guest
