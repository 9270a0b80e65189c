#pragma once

#include "actors/devices/virtio/blk/job_list.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace troupe::blk {

/// See start_threads_engine. Other engines keep one for what they cannot do themselves; start and
/// finished may then be called by different threads.
class threads_engine final : public engine {
public:
  [[nodiscard]] static outcome<std::unique_ptr<threads_engine>> start(block_file& file,
                                                                      std::size_t threads);
  threads_engine(const threads_engine&) = delete;
  threads_engine& operator=(const threads_engine&) = delete;
  ~threads_engine() override;

  [[nodiscard]] int event() const noexcept override { return event_.get(); }
  void start(job& it) noexcept override;
  [[nodiscard]] bool kick() noexcept override { return true; }
  [[nodiscard]] job* finished() noexcept override;
  void cancel() noexcept override;

private:
  threads_engine(block_file& file, unique_fd event) : file_(file), event_(std::move(event)) {}

  void loop() noexcept;
  void tell() noexcept;

  block_file& file_;
  unique_fd event_;
  std::mutex mutex_; // Guards all below but the threads.
  std::condition_variable wake_;
  job_list waiting_;
  job_list finished_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

} // namespace troupe::blk
