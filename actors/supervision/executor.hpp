#pragma once

#include "actors/supervision/fault_plan.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace troupe {

/// Labels a blocking job.
struct job_label {
  /// Who pays for it: jobs of one share wait for each other, never for another's. A sandbox id.
  std::string share;
  /// Names the work in errors and in the fault plan ("fx:<stage>"): "mount", "netlink", "spawn".
  std::string stage;
  /// The answer comes no later, with deadline_exceeded if need be.
  time_point deadline = time_point::max();
};

/// The port to threads that may block. Actors and leaves reach mount, netlink, spawn and the like
/// through it only, so that the simulation can run everything in one thread.
class executor {
public:
  using work = std::function<outcome<void>()>;
  using done = std::function<void(outcome<void>)>;

  executor(const executor&) = delete;
  executor& operator=(const executor&) = delete;
  virtual ~executor() = default;

  /// Runs `job` where blocking is allowed and then calls `finished` exactly once, on an unspecified
  /// thread; `finished` must not block or throw. What `job` throws becomes errc::internal with the
  /// stage.
  ///
  /// Failures of its own: deadline_exceeded (the job is late, or never got its turn),
  /// resource_exhausted (the share's queue is full or too many of its jobs hang), cancelled (the
  /// executor is closing). A job that is late is not stopped, that cannot be done: its result is
  /// thrown away when it comes. So an effect with an undo is journalled before it is run here.
  void run(job_label label, work job, done finished);

protected:
  /// @param real_time whether a `delay` of the fault plan takes any.
  executor(std::shared_ptr<fault_plan> faults, bool real_time)
      : faults_(std::move(faults)), real_time_(real_time) {}

  struct task {
    job_label label;
    work job;
    done finished;
  };
  virtual void submit(task job) = 0;

private:
  std::shared_ptr<fault_plan> faults_;
  bool real_time_ = true;
};

/// Runs `job` through `where` and hands its value to `finished`. T need not be copyable.
template <class T>
void run_for_value(executor& where, job_label label, std::function<outcome<T>()> job,
                   std::function<void(outcome<T>)> finished) {
  auto box = std::make_shared<outcome<T>>(fail(errc::internal, "no value"));
  where.run(
      std::move(label),
      [box, job = std::move(job)]() -> outcome<void> {
        *box = job();
        if (!*box)
          return tl::unexpected(box->error());
        return {};
      },
      [box, finished = std::move(finished)](outcome<void> result) {
        if (result)
          finished(std::move(*box));
        else
          finished(tl::unexpected(std::move(result).error()));
      });
}

/// In memory and in one thread, for tests and the simulation: each job runs inside run() or, when
/// `hold` was called, in the order and at the time the test says.
class inline_executor final : public executor {
public:
  explicit inline_executor(std::shared_ptr<fault_plan> faults = nullptr)
      : executor(std::move(faults), false) {}

  /// From now on jobs wait for step().
  void hold() noexcept { held_ = true; }
  /// Runs the oldest waiting job. @returns whether there was one.
  bool step();
  /// Fails the oldest waiting job with deadline_exceeded without running it.
  bool expire();
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }

private:
  void submit(task job) override;

  bool held_ = false;
  std::deque<task> waiting_;
};

} // namespace troupe
