#include "actors/devices/worker.hpp"

#include "messages/vocabulary/log.hpp"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <exception>
#include <system_error>

namespace troupe::devices {
namespace {

// Descriptors handled per wake-up: posted work and timers wait no longer than one such round.
constexpr int events_per_round = 64;

constexpr worker::watch_id wake_id = 0;

// The boundary between the loop and what others made of it.
template <class Call>
void guarded(const std::string& who, const Call& call) noexcept {
  try {
    call();
  } catch (const std::exception& error) {
    log::error(who, "unhandled exception: {}", error.what());
  } catch (...) {
    log::error(who, "unhandled exception of unknown type");
  }
}

} // namespace

outcome<std::unique_ptr<worker>> worker::start(std::string name) {
  unique_fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll)
    return fail_errno("create epoll of a worker", errno);
  unique_fd wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!wake)
    return fail_errno("create eventfd of a worker", errno);
  epoll_event event{.events = EPOLLIN, .data = {.u64 = wake_id}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0)
    return fail_errno("watch eventfd of a worker", errno);
  std::unique_ptr<worker> it{new worker{std::move(epoll), std::move(wake)}};
  try {
    it->thread_ = std::thread{[raw = it.get()] { raw->loop(); }};
  } catch (const std::system_error& error) {
    return fail_errno("start a worker thread", error.code().value());
  }
  name.resize(std::min<std::size_t>(name.size(), 15));
  ::pthread_setname_np(it->thread_.native_handle(), name.c_str());
  return it;
}

worker::~worker() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake();
  if (thread_.joinable())
    thread_.join();
}

void worker::wake() noexcept {
  // Can only fail when the counter is full, and then the thread is awake anyway.
  (void)::eventfd_write(wake_.get(), 1);
}

void worker::post(std::string who, task what) {
  {
    const std::lock_guard lock{mutex_};
    posted_.push_back({std::move(who), std::move(what)});
  }
  wake();
}

outcome<void> worker::run(std::string who, task what, milliseconds limit) {
  if (on_thread()) {
    guarded(who, what);
    return {};
  }
  struct gate {
    std::mutex mutex;
    std::condition_variable opened;
    bool open = false;
  };
  const auto shared = std::make_shared<gate>();
  post(who, [who, shared, what = std::move(what)] {
    guarded(who, what);
    const std::lock_guard lock{shared->mutex};
    shared->open = true;
    shared->opened.notify_all();
  });
  std::unique_lock lock{shared->mutex};
  if (!shared->opened.wait_for(lock, limit, [&] { return shared->open; }))
    return fail(errc::deadline_exceeded, "{}: not run within {} ms", who, limit.count());
  return {};
}

outcome<worker::watch_id> worker::watch(std::string who, int fd, std::uint32_t events,
                                        handler ready) {
  const auto id = next_id_++;
  epoll_event event{.events = events, .data = {.u64 = id}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return fail_errno(fmt::format("{}: watch descriptor {}", who, fd), errno);
  watches_.emplace(id, std::make_shared<watched>(watched{std::move(who), fd, std::move(ready)}));
  return id;
}

outcome<void> worker::rewatch(watch_id id, std::uint32_t events) {
  const auto it = watches_.find(id);
  if (it == watches_.end())
    return fail(errc::internal, "rewatch: no watch {}", id);
  epoll_event event{.events = events, .data = {.u64 = id}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, it->second->fd, &event) != 0)
    return fail_errno(fmt::format("{}: rewatch descriptor", it->second->who), errno);
  return {};
}

void worker::unwatch(watch_id id) noexcept {
  const auto it = watches_.find(id);
  if (it == watches_.end())
    return;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, it->second->fd, nullptr);
  watches_.erase(it);
}

worker::timer_id worker::after(std::string who, milliseconds delay, task then) {
  const auto id = next_id_++;
  const auto when = monotonic_clock::now() + delay;
  timers_.emplace(std::pair{when, id}, named_task{std::move(who), std::move(then)});
  timer_times_.emplace(id, when);
  return id;
}

void worker::cancel(timer_id id) noexcept {
  const auto it = timer_times_.find(id);
  if (it == timer_times_.end())
    return;
  timers_.erase({it->second, id});
  timer_times_.erase(it);
}

void worker::loop() noexcept {
  std::array<epoll_event, events_per_round> events{};
  for (;;) {
    const auto count = ::epoll_wait(epoll_.get(), events.data(), events_per_round, next_timeout());
    for (int i = 0; i < count; ++i)
      dispatch(events[static_cast<std::size_t>(i)].data.u64,
               events[static_cast<std::size_t>(i)].events);
    run_timers();
    if (!run_posted())
      return;
  }
}

void worker::dispatch(watch_id id, std::uint32_t events) noexcept {
  if (id == wake_id) {
    eventfd_t ignored = 0;
    (void)::eventfd_read(wake_.get(), &ignored);
    return;
  }
  const auto it = watches_.find(id);
  if (it == watches_.end())
    return;                      // Unwatched earlier in this round.
  const auto alive = it->second; // The handler may unwatch itself.
  guarded(alive->who, [&] { alive->ready(events); });
}

// False when there is nothing left to run and the worker is to stop.
bool worker::run_posted() noexcept {
  std::vector<named_task> batch;
  auto stopping = false;
  {
    const std::lock_guard lock{mutex_};
    batch.swap(posted_);
    stopping = stopping_;
  }
  for (const auto& it : batch)
    guarded(it.who, it.what);
  if (stopping && !batch.empty())
    wake(); // What the batch posted runs too, then nothing more wakes us.
  return !batch.empty() || !stopping;
}

void worker::run_timers() noexcept {
  const auto now = monotonic_clock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto due = timers_.extract(timers_.begin());
    timer_times_.erase(due.key().second);
    guarded(due.mapped().who, due.mapped().what);
  }
}

int worker::next_timeout() const noexcept {
  if (timers_.empty())
    return -1;
  const auto left = timers_.begin()->first.first - monotonic_clock::now();
  const auto ms = std::chrono::ceil<milliseconds>(left).count();
  return static_cast<int>(std::clamp<std::int64_t>(ms, 0, 60'000));
}

outcome<std::unique_ptr<worker_pool>> worker_pool::start(std::size_t threads) {
  std::vector<std::unique_ptr<worker>> workers;
  for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i)
    workers.push_back(TRY(worker::start(fmt::format("queues-{}", i))));
  return std::unique_ptr<worker_pool>{new worker_pool{std::move(workers)}};
}

worker& worker_pool::pick() noexcept {
  return *workers_[next_++ % workers_.size()];
}

} // namespace troupe::devices
