#pragma once

#include "actors/devices/virtio/blk/engine.hpp"

#include <utility>

namespace troupe::blk {

/// Jobs in order of arrival, linked through themselves: nothing is allocated.
class job_list {
public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

  void push(job& it) noexcept {
    it.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &it;
    last_ = &it;
  }

  [[nodiscard]] job* pop() noexcept {
    auto* const it = first_;
    if (it != nullptr)
      first_ = std::exchange(it->next, nullptr);
    if (first_ == nullptr)
      last_ = nullptr;
    return it;
  }

private:
  job* first_ = nullptr;
  job* last_ = nullptr;
};

} // namespace troupe::blk
