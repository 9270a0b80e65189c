#pragma once

#include "actors/devices/transport/mmio/board.hpp"
#include "actors/devices/worker.hpp"
#include "actors/sandbox/hypervisor/hypervisor.hpp"
#include "actors/sandbox/hypervisor/probe/probe.hpp"
#include "actors/sandbox/journal/journal.hpp"
#include "actors/supervision/executor.hpp"
#include "actors/supervision/fault_plan.hpp"
#include "actors/vcpu/machine_plan.hpp"
#include "config/config.hpp"
#include "messages/events.hpp"

#include <asio/io_context.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace troupe {

/// Whether the pod is ending, and why: its machine is gone or it is being stopped. A fact told
/// once, so it is kept here, where every later asker finds it. Any thread.
class pod_fate {
public:
  /// The first reason stays.
  void ended(failure why) {
    const std::lock_guard lock{guard_};
    if (!why_)
      why_ = std::move(why);
  }
  /// Nothing while it lives or comes up.
  [[nodiscard]] std::optional<failure> why() const {
    const std::lock_guard lock{guard_};
    return why_;
  }

private:
  mutable std::mutex guard_;
  std::optional<failure> why_;
};

/// What every actor of one pod is given: names, settings, ports. It outlives all of them. `values`
/// and `journal` are set while the pod is booting, before anybody but the sandbox actor is asked
/// for anything; from then on they are only read (the journal is thread-safe itself).
struct pod_context {
  sandbox_id id;
  machine_place place;
  config::config values;
  /// `values` are there: from the embedding program or from files.
  bool configured = false;
  std::unique_ptr<journal::file> journal;
  /// Which hypervisor will run the machine, and why.
  hypervisor::choice chosen;
  /// Devices that wait for a machine of this process.
  mmio::board board;
  /// Held while values, journal and choice are being set.
  std::mutex opening;
  pod_fate fate;

  executor& fx;
  asio::io_context& io;
  devices::worker_pool& workers;
  /// Of the whole process.
  std::shared_ptr<fault_plan> faults;
  /// Where the probe of /dev/kvm is remembered.
  std::string probe_cache;
  /// Any thread; does not block.
  std::function<void(event::any)> publish;
  /// Told once when a machine that ran has ended. Any thread; does not block.
  std::function<void(const hypervisor::exit_info&)> machine_ended;

  /// Its machine stands: nobody in it can answer. Any thread.
  std::atomic<bool> paused = false;

  /// A job of this pod on the fx pool.
  [[nodiscard]] job_label job(std::string stage, milliseconds limit, time_point now) const {
    return {id.str(), std::move(stage), now + limit};
  }
};

using pod_ptr = std::shared_ptr<pod_context>;

} // namespace troupe
