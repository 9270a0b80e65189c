#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <sys/ioctl.h>

#include <cerrno>
#include <concepts>
#include <string>
#include <string_view>

namespace troupe::kvm {

/// What names a call in its failure: a text, or a function that makes one then, which most calls
/// never need.
[[nodiscard]] inline std::string_view title(std::string_view what) noexcept {
  return what;
}
[[nodiscard]] std::string title(const std::invocable auto& what) {
  return what();
}

/// ioctl(2) that goes on after a signal. `what` names the call: "KVM_SET_REGS". host_io otherwise.
template <class What, class... Argument>
[[nodiscard]] outcome<int> call(const What& what, int fd, unsigned long request,
                                Argument... argument) {
  for (;;) {
    const int result = ::ioctl(fd, request, argument...);
    if (result >= 0)
      return result;
    if (const int error = errno; error != EINTR)
      return fail_errno(title(what), error);
  }
}

/// One that only writes or reads a struct.
template <class What, class T>
[[nodiscard]] outcome<void> put(const What& what, int fd, unsigned long request, const T& value) {
  TRY(call(what, fd, request, &value));
  return {};
}
template <class T>
[[nodiscard]] outcome<T> fetch(std::string_view what, int fd, unsigned long request) {
  T value{};
  TRY(call(what, fd, request, &value));
  return value;
}

} // namespace troupe::kvm
