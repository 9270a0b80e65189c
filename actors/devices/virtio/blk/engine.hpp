#pragma once

#include "actors/devices/virtio/blk/block_file.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace troupe::blk {

/// Ranges of one discard: a merged one of Linux's block layer names several.
inline constexpr std::size_t ranges_max = 16;

struct byte_range {
  byte_count at = 0;
  byte_count length = 0;
};

/// A call on a block_file and what became of it. Between start and finished it is the engine's.
struct job {
  enum class operation : std::uint8_t { read, write, flush, discard, zero };

  operation what = operation::flush;
  /// Of read and write.
  byte_count at = 0;
  std::vector<iovec> buffers;
  /// Of discard and zero.
  std::array<byte_range, ranges_max> ranges{};
  std::size_t range_count = 0;
  bool unmap = false;
  /// The result must be safe from a power cut before it is told.
  bool durable = false;

  /// What to answer instead of calling; for tests of what cannot be had on demand.
  io_error injected = 0;
  /// The result; ECANCELED for one that was never begun.
  io_error error = 0;
  job* next = nullptr; // the engine's
};

/// Does `it` on the calling thread and leaves the result in it.
void perform(block_file& on, job& it) noexcept;

/// Runs jobs on a file, many at a time and in any order. Nothing here throws once it is made. Calls
/// by one thread at a time.
class engine {
public:
  virtual ~engine() = default;

  /// An eventfd, readable when finished() has something; read it before.
  [[nodiscard]] virtual int event() const noexcept = 0;

  /// Takes a job over. At most as many as it was made for; it may wait for kick().
  virtual void start(job& it) noexcept = 0;
  /// False when the host has no room just now: call again soon.
  [[nodiscard]] virtual bool kick() noexcept = 0;
  /// A job that is done, or null.
  [[nodiscard]] virtual job* finished() noexcept = 0;
  /// Gives up what no thread has begun; it comes out of finished() like all else.
  virtual void cancel() noexcept = 0;
};

enum class engine_kind : std::uint8_t { threads, io_uring };

[[nodiscard]] std::string_view name(engine_kind of) noexcept;

/// Threads of one disk are bounded whatever the configuration says.
inline constexpr std::size_t threads_max = 16;

/// Blocking calls on `threads` threads of its own (1 ... threads_max). On destruction it waits for
/// what runs. `file` outlives it.
[[nodiscard]] outcome<std::unique_ptr<engine>> start_threads_engine(block_file& file,
                                                                    std::size_t threads);

/// An io_uring for up to `jobs` jobs with up to `workers` threads of the kernel's, and one thread
/// for what a ring cannot do: discards, zeros, unaligned buffers, calls that were cut short.
/// unimplemented where the kernel refuses rings or some of what we do with them.
[[nodiscard]] outcome<std::unique_ptr<engine>>
start_uring_engine(block_file& file, std::size_t jobs, std::size_t workers);

} // namespace troupe::blk
