#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cerrno>

namespace troupe::fuse {

/// All that a FUSE reply can say about a failure: a positive errno. Most are everyday (ENOENT of a
/// lookup), so they carry no text.
enum class os_error : int {};

/// The value a guest's request leads to, or the errno it gets.
template <class T>
using answer = tl::expected<T, os_error>;

[[nodiscard]] inline tl::unexpected<os_error> refuse(int number) noexcept {
  return tl::unexpected<os_error>{os_error{number}};
}

/// The errno of the system call that just failed.
[[nodiscard]] inline tl::unexpected<os_error> refuse_errno() noexcept { return refuse(errno); }

} // namespace troupe::fuse

/// Lets TRY unwrap an answer as it unwraps an outcome.
namespace troupe::detail {
inline void take(fuse::answer<void>&&) {}
template <class T>
T take(fuse::answer<T>&& value) {
  return *std::move(value);
}
} // namespace troupe::detail
