#include "actors/devices/blocking_worker.hpp"

#include "messages/vocabulary/log.hpp"

#include <pthread.h>

#include <exception>
#include <system_error>

namespace troupe::devices {

outcome<std::unique_ptr<blocking_worker>>
blocking_worker::start(std::string name, std::size_t threads, std::size_t limit) {
  if (threads == 0)
    return fail(errc::invalid_argument, "{}: no threads", name);
  std::unique_ptr<blocking_worker> it{new blocking_worker{std::move(name), limit}};
  try {
    for (std::size_t i = 0; i < threads; ++i) {
      it->threads_.emplace_back([raw = it.get()] { raw->loop(); });
      ::pthread_setname_np(it->threads_.back().native_handle(), it->name_.substr(0, 15).c_str());
    }
  } catch (const std::system_error& error) {
    return fail_errno(fmt::format("{}: start a thread", it->name_), error.code().value());
  }
  return it;
}

blocking_worker::~blocking_worker() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& it : threads_)
    it.join();
}

outcome<void> blocking_worker::submit(task what) {
  {
    const std::lock_guard lock{mutex_};
    if (waiting_.size() >= limit_)
      return fail(errc::resource_exhausted, "{}: {} requests wait", name_, limit_);
    waiting_.push_back(std::move(what));
  }
  wake_.notify_one();
  return {};
}

void blocking_worker::drain() {
  std::unique_lock lock{mutex_};
  idle_.wait(lock, [this] { return waiting_.empty() && running_ == 0; });
}

void blocking_worker::loop() noexcept {
  std::unique_lock lock{mutex_};
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty())
      return;
    const auto next = std::move(waiting_.front());
    waiting_.pop_front();
    ++running_;
    lock.unlock();
    try {
      next();
    } catch (const std::exception& error) {
      log::error(name_, "unhandled exception: {}", error.what());
    } catch (...) {
      log::error(name_, "unhandled exception of unknown type");
    }
    lock.lock();
    --running_;
    if (waiting_.empty() && running_ == 0)
      idle_.notify_all();
  }
}

} // namespace troupe::devices
