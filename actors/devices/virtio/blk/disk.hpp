#pragma once

#include "actors/devices/virtio/blk/engine.hpp"
#include "actors/devices/virtio/blk/wire.hpp"
#include "actors/devices/virtio/chain.hpp"
#include "actors/supervision/fault_plan.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe::blk {

/// Requests a disk works on at a time, over all its queues; more wait in the rings.
inline constexpr std::size_t requests_max = 128;
/// Bytes they move; one request may exceed it alone. A pause has to wait for all of them.
inline constexpr std::size_t bytes_in_flight_max = 64U << 20;
inline constexpr std::uint16_t queues_max = 16;

struct disk_options {
  /// Where the kernel refuses io_uring the disk says so in the log and takes threads.
  engine_kind engine = engine_kind::io_uring;
  /// Calls that may block at a time, 1 ... threads_max.
  std::size_t threads = 2;
  /// What the guest finds in /sys/block/NAME/serial: up to wire::id_bytes bytes.
  std::string serial = {};
  /// 1 ... queues_max.
  std::uint16_t queues = 1;
  /// How long reset and pause wait for the host's file before they cancel what has not begun, and
  /// then again for the rest.
  milliseconds drain_limit{1000};
  /// Points: slot:blk:taken (also fail), slot:blk:executing, slot:blk:result.
  std::shared_ptr<fault_plan> faults = nullptr;
};

/// A request from its first look to its answer.
struct slot : job {
  enum class stage : std::uint8_t {
    free,
    taken,     ///< Popped; nothing of it was done.
    executing, ///< The engine has it.
    result,    ///< Its status is known and not told yet.
  };

  stage where = stage::free;
  std::size_t queue = 0;
  virtio::chain request;
  /// Whether the device's present logic has popped the request: it may answer it.
  bool lent = false;
  /// It was called off on the way: not its fault, it begins anew.
  bool cancelled = false;
  /// Its driver is gone; it is only waited for.
  bool orphan = false;
  wire::status status = wire::status::ok;
  std::uint32_t data_bytes = 0;
  /// Keeps the buffers mapped while the engine has them.
  std::shared_ptr<const memory::guest_memory> memory;
};

/// What of a disk outlives its device logic: the file, the engine, the requests in flight. New
/// logic over the same queues gives each of them its one answer: one that was done is not done
/// again.
///
/// Owned by the machine; used by one thread at a time, the loop of its device.
class disk {
public:
  /// invalid_argument when an option is out of range.
  [[nodiscard]] static outcome<std::shared_ptr<disk>> make(std::unique_ptr<block_file> file,
                                                           disk_options options);

  [[nodiscard]] const geometry& shape() const noexcept { return file_->shape(); }
  [[nodiscard]] const disk_options& options() const noexcept { return options_; }
  /// The engine at work, "io_uring" or "threads"; before open() the one that is asked for.
  [[nodiscard]] std::string_view engine_name() const noexcept { return name(options_.engine); }

  /// Makes the engine, the first time: a machine starts without it, and a guest that drives no disk
  /// never has one. A kernel that refuses rings gives threads instead, and a line in the log.
  /// Before all below. host_io: no descriptor or no thread is left; it may be tried again.
  [[nodiscard]] outcome<void> open();
  /// Readable when collect() has something.
  [[nodiscard]] int event() const noexcept { return engine_->event(); }
  /// Whether the driver lets writes stay in the host's cache, as it was told last. Any thread.
  std::atomic<bool> writeback = true;

  /// Whether no more requests may be taken: too many are in flight, or those of an earlier driver
  /// are, whose late writes must not overtake new ones.
  [[nodiscard]] bool full() const noexcept;
  /// A free slot to pop into. @pre !full()
  [[nodiscard]] slot& spare() noexcept;
  /// The slot that knows this request from an earlier pop, with the new chain put into it; else
  /// `fresh` itself.
  [[nodiscard]] slot& recognise(slot& fresh) noexcept;
  /// Before new logic pops: forgets requests that are not in `queue`'s list of taken ones.
  void keep_only(std::size_t queue, std::span<const std::uint16_t> heads) noexcept;

  void start(slot& it, std::shared_ptr<const memory::guest_memory> memory) noexcept;
  [[nodiscard]] bool kick() noexcept { return engine_->kick(); }
  /// The next request that the engine is done with: its stage is `result`, or `taken` when it was
  /// cancelled. Null when there is none. Orphans are dealt with, not told.
  [[nodiscard]] slot* collect() noexcept;
  void release(slot& it) noexcept;

  /// Waits until nothing executes, then cancels, then gives up on what hangs: it stays executing.
  void drain() noexcept;

  [[nodiscard]] std::span<slot> slots() noexcept { return slots_; }

private:
  disk(std::unique_ptr<block_file> file, disk_options options)
      : file_(std::move(file)), options_(std::move(options)) {}

  [[nodiscard]] outcome<std::unique_ptr<engine>> start_engine();
  void settle(slot& it) noexcept;
  [[nodiscard]] bool await(milliseconds limit) noexcept;

  std::unique_ptr<block_file> file_;
  disk_options options_;
  std::vector<slot> slots_; // requests_max from open() on
  std::size_t executing_ = 0;
  std::size_t bytes_ = 0; // of those
  std::size_t orphans_ = 0;
  std::size_t used_ = 0;           // slots that are not free
  bool complained_ = false;        // of a failing file; once is enough for the log
  std::unique_ptr<engine> engine_; // Last: it ends before what it works on.
};

} // namespace troupe::blk
