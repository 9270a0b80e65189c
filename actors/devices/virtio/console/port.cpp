#include "actors/devices/virtio/console/port.hpp"

#include <algorithm>

namespace troupe::console {

outcome<void> port::type(std::string_view text) {
  const std::lock_guard lock{mutex_};
  if (text.size() > input_max - input_.size())
    return fail(errc::resource_exhausted, "console input: {} bytes wait, {} more do not fit",
                input_.size(), text.size());
  input_ += text;
  if (tell_)
    tell_();
  return {};
}

void port::listen(std::function<void()> tell) {
  const std::lock_guard lock{mutex_};
  tell_ = std::move(tell);
}

bool port::has_input() const {
  const std::lock_guard lock{mutex_};
  return !input_.empty();
}

std::size_t port::peek(std::span<char> into) const {
  const std::lock_guard lock{mutex_};
  const auto count = std::min(into.size(), input_.size());
  std::copy_n(input_.begin(), count, into.begin());
  return count;
}

void port::drop(std::size_t count) {
  const std::lock_guard lock{mutex_};
  input_.erase(0, count);
}

} // namespace troupe::console
