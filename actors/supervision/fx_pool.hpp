#pragma once

#include "actors/supervision/executor.hpp"

#include <memory>

namespace troupe {

/// Bounds of the pool; every one is a cap on what one sandbox, or a hanging host, can take.
struct fx_limits {
  /// Jobs of one share that run at the same time. A job that hangs past its deadline no longer
  /// counts, so the share goes on.
  std::size_t running_per_share = 2;
  /// Jobs of one share that wait. Beyond: resource_exhausted.
  std::size_t queued_per_share = 256;
  /// Hung jobs of one share. Beyond: its new jobs are refused, since each would cost a thread.
  std::size_t hung_per_share = 8;
  /// Threads that work; hung ones come on top, up to `threads_in_total`.
  std::size_t threads = 8;
  std::size_t threads_in_total = 64;
  /// A thread without work ends after this, so that an idle pod has none.
  milliseconds linger{5'000};
};

struct fx_stats {
  std::size_t threads = 0;
  std::size_t running = 0;
  std::size_t queued = 0;
  std::size_t hung = 0;
};

/// The threads for blocking host effects: "fx". All signals are blocked in them. Threads are made
/// when work comes and end when there is none; a watcher thread, "fx-watch", lives as long as they
/// do.
class fx_pool final : public executor {
public:
  explicit fx_pool(fx_limits limits = {}, std::shared_ptr<fault_plan> faults = nullptr);
  /// close() with no patience.
  ~fx_pool() override;

  /// Takes no more work, fails what waits with cancelled, and joins the threads. deadline_exceeded
  /// names the stages that still hang after `patience`; their threads are left behind and touch
  /// nothing of this object any more.
  outcome<void> close(milliseconds patience);

  [[nodiscard]] fx_stats stats() const;

private:
  void submit(task job) override;

  class shared;
  std::shared_ptr<shared> shared_;
};

} // namespace troupe
