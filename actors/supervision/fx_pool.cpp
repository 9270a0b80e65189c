#include "actors/supervision/fx_pool.hpp"

#include "actors/supervision/thread.hpp"
#include "messages/vocabulary/log.hpp"

#include <algorithm>
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <system_error>
#include <vector>

namespace troupe {

namespace {

/// An answer that is due, given after the lock is released.
struct verdict {
  executor::done finished;
  outcome<void> value;

  void give() const noexcept {
    try {
      finished(value);
    } catch (...) { // forbidden by the interface; nobody is left to be told
    }
  }
};
using verdicts = std::vector<verdict>;

void give_all(const verdicts& due) noexcept {
  for (const auto& one : due)
    one.give();
}

} // namespace

/// What pool and threads share; the last of them frees it, so a thread that hangs outlives the
/// pool.
class fx_pool::shared : public std::enable_shared_from_this<shared> {
public:
  explicit shared(fx_limits limits) : limits_(limits) {}

  void submit(task job);
  outcome<void> close(milliseconds patience);
  [[nodiscard]] fx_stats stats() const;

private:
  struct share {
    std::deque<task> queue;
    std::size_t running = 0;
    std::size_t hung = 0;
  };
  struct running_job {
    job_label label;
    executor::done finished;
    bool hung = false;
  };
  using lock = std::unique_lock<std::mutex>;
  using shares = std::map<std::string, share>;

  [[nodiscard]] outcome<void> admit(const task& job);
  [[nodiscard]] shares::iterator next_share();
  [[nodiscard]] bool work_ready() { return next_share() != shares_.end(); }
  void add_threads();
  bool add_thread(std::string name, void (shared::*body)());
  void work();
  void run_one(lock& held, shares::iterator from);
  void watch();
  [[nodiscard]] time_point next_deadline() const;
  void expire(time_point now, verdicts& due);
  void mark_hung(running_job& job, verdicts& due, failure why);
  void forget_if_idle(const std::string& name);

  const fx_limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable wake_worker_;
  std::condition_variable wake_watcher_;
  std::condition_variable thread_gone_;
  shares shares_;
  /// Where the round over the shares stands.
  std::string last_served_;
  std::list<running_job> running_;
  std::size_t workers_ = 0;
  std::size_t idle_ = 0;
  std::size_t hung_ = 0;
  bool watching_ = false;
  bool closing_ = false;
};

void fx_pool::shared::submit(task job) {
  verdicts due;
  {
    const lock held{mutex_};
    if (auto allowed = admit(job); !allowed) {
      due.push_back({std::move(job.finished), std::move(allowed)});
    } else {
      auto& queue = shares_[job.label.share].queue;
      queue.push_back(std::move(job));
      add_threads();
      if (workers_ == 0) {
        due.push_back({std::move(queue.back().finished),
                       fail(errc::resource_exhausted, "fx: no thread can be made")});
        queue.pop_back();
      }
      wake_worker_.notify_one();
      wake_watcher_.notify_one();
    }
  }
  give_all(due);
}

outcome<void> fx_pool::shared::admit(const task& job) {
  const auto& [who, stage, deadline] = job.label;
  if (closing_)
    return fail(errc::cancelled, "{}: the pool is closing", stage);
  const auto found = shares_.find(who);
  if (found == shares_.end())
    return {};
  if (found->second.hung >= limits_.hung_per_share)
    return fail(errc::resource_exhausted, "{}: {} jobs of {} hang", stage, found->second.hung, who);
  if (found->second.queue.size() >= limits_.queued_per_share)
    return fail(errc::resource_exhausted, "{}: {} jobs of {} wait", stage,
                found->second.queue.size(), who);
  return {};
}

/// The next share in turn that has work and may run it.
auto fx_pool::shared::next_share() -> shares::iterator {
  const auto ready = [&](const shares::value_type& s) {
    return !s.second.queue.empty() && s.second.running < limits_.running_per_share;
  };
  const auto middle = shares_.upper_bound(last_served_);
  const auto found = std::find_if(middle, shares_.end(), ready);
  if (found != shares_.end())
    return found;
  const auto wrapped = std::find_if(shares_.begin(), middle, ready);
  return wrapped == middle ? shares_.end() : wrapped;
}

void fx_pool::shared::add_threads() {
  if (!watching_)
    watching_ = add_thread("fx-watch", &shared::watch);
  const bool room = workers_ - hung_ < limits_.threads && workers_ < limits_.threads_in_total;
  if (watching_ && room && idle_ == 0 && work_ready() && add_thread("fx", &shared::work))
    ++workers_;
}

bool fx_pool::shared::add_thread(std::string name, void (shared::*body)()) {
  try {
    start_thread(name, [self = shared_from_this(), body] { (self.get()->*body)(); }).detach();
    return true;
  } catch (const std::system_error& e) {
    log::error("fx", "no thread {}: {}", name, e.what());
    return false;
  }
}

void fx_pool::shared::work() {
  lock held{mutex_};
  while (workers_ - hung_ <= limits_.threads) {
    if (const auto from = next_share(); from != shares_.end()) {
      run_one(held, from);
      continue;
    }
    ++idle_;
    const bool more =
        wake_worker_.wait_for(held, limits_.linger, [&] { return closing_ || work_ready(); });
    --idle_;
    if (!more || closing_)
      break;
  }
  --workers_;
  wake_watcher_.notify_one();
  thread_gone_.notify_all();
}

void fx_pool::shared::run_one(lock& held, shares::iterator from) {
  task next = std::move(from->second.queue.front());
  from->second.queue.pop_front();
  ++from->second.running;
  last_served_ = from->first;
  const auto me =
      running_.insert(running_.end(), {std::move(next.label), std::move(next.finished), false});
  add_threads();
  wake_watcher_.notify_one();

  held.unlock();
  auto result = next.job();
  next.job = nullptr; // what it holds is freed without the lock
  held.lock();

  auto& mine = shares_[me->label.share];
  if (me->hung) {
    --mine.hung;
    --hung_;
  } else {
    --mine.running;
  }
  const verdict due{std::move(me->finished), std::move(result)};
  const bool tell = !me->hung;
  const auto name = std::move(me->label.share);
  running_.erase(me);
  forget_if_idle(name);
  wake_worker_.notify_one();
  if (!tell)
    return;
  held.unlock();
  due.give();
  held.lock();
}

void fx_pool::shared::forget_if_idle(const std::string& name) {
  const auto found = shares_.find(name);
  if (found != shares_.end() && found->second.queue.empty() && found->second.running == 0 &&
      found->second.hung == 0)
    shares_.erase(found);
}

void fx_pool::shared::watch() {
  lock held{mutex_};
  while (!closing_ && (workers_ != 0 || work_ready())) {
    const auto next = next_deadline();
    if (next == time_point::max())
      wake_watcher_.wait(held);
    else
      wake_watcher_.wait_until(held, next);
    verdicts due;
    expire(monotonic_clock::now(), due);
    add_threads();
    wake_worker_.notify_all();
    held.unlock();
    give_all(due);
    held.lock();
  }
  watching_ = false;
  thread_gone_.notify_all();
}

time_point fx_pool::shared::next_deadline() const {
  auto next = time_point::max();
  for (const auto& job : running_) {
    if (!job.hung)
      next = std::min(next, job.label.deadline);
  }
  for (const auto& [name, share] : shares_) {
    for (const auto& job : share.queue)
      next = std::min(next, job.label.deadline);
  }
  return next;
}

void fx_pool::shared::expire(time_point now, verdicts& due) {
  for (auto& job : running_) {
    if (!job.hung && job.label.deadline <= now)
      mark_hung(job, due,
                {errc::deadline_exceeded,
                 fmt::format("{}: still runs at its deadline", job.label.stage), 0});
  }
  for (auto& [name, share] : shares_) {
    for (auto& job : share.queue) {
      if (job.label.deadline <= now)
        due.push_back({std::move(job.finished),
                       fail(errc::deadline_exceeded, "{}: did not get its turn before its deadline",
                            job.label.stage)});
    }
    std::erase_if(share.queue, [now](const task& job) { return job.label.deadline <= now; });
  }
  std::erase_if(shares_, [](const auto& s) {
    return s.second.queue.empty() && s.second.running == 0 && s.second.hung == 0;
  });
}

void fx_pool::shared::mark_hung(running_job& job, verdicts& due, failure why) {
  auto& mine = shares_[job.label.share];
  --mine.running;
  ++mine.hung;
  ++hung_;
  job.hung = true;
  log::warn("fx", "{} of {} hangs", job.label.stage, job.label.share);
  due.push_back({std::move(job.finished), tl::unexpected(std::move(why))});
}

outcome<void> fx_pool::shared::close(milliseconds patience) {
  verdicts due;
  std::string hanging;
  {
    lock held{mutex_};
    closing_ = true;
    for (auto& [name, share] : shares_) {
      for (auto& job : share.queue)
        due.push_back({std::move(job.finished),
                       fail(errc::cancelled, "{}: the pool is closing", job.label.stage)});
      share.queue.clear();
    }
    wake_worker_.notify_all();
    wake_watcher_.notify_all();
    thread_gone_.wait_for(held, patience, [&] { return workers_ == 0 && !watching_; });
    for (auto& job : running_) {
      hanging += (hanging.empty() ? "" : ", ") + job.label.stage;
      if (!job.hung)
        mark_hung(job, due,
                  {errc::cancelled, fmt::format("{}: the pool is closing", job.label.stage), 0});
    }
  }
  give_all(due);
  if (!hanging.empty())
    return fail(errc::deadline_exceeded, "close fx: still running: {}", hanging);
  return {};
}

fx_stats fx_pool::shared::stats() const {
  const lock held{mutex_};
  std::size_t queued = 0;
  for (const auto& [name, share] : shares_)
    queued += share.queue.size();
  return {workers_ + (watching_ ? 1u : 0u), running_.size() - hung_, queued, hung_};
}

fx_pool::fx_pool(fx_limits limits, std::shared_ptr<fault_plan> faults)
    : executor(std::move(faults), true), shared_(std::make_shared<shared>(limits)) {}

fx_pool::~fx_pool() {
  (void)close(milliseconds{0});
}

outcome<void> fx_pool::close(milliseconds patience) {
  return shared_->close(patience);
}

fx_stats fx_pool::stats() const {
  return shared_->stats();
}

void fx_pool::submit(task job) {
  shared_->submit(std::move(job));
}

} // namespace troupe
