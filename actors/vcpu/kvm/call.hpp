#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <sys/ioctl.h>

#include <cerrno>
#include <string_view>

namespace troupe::kvm {

/// ioctl(2) that goes on after a signal. `what` names the call: "KVM_SET_REGS". host_io otherwise.
template <class... Argument>
[[nodiscard]] outcome<int> call(std::string_view what, int fd, unsigned long request,
                                Argument... argument) {
  for (;;) {
    const int result = ::ioctl(fd, request, argument...);
    if (result >= 0)
      return result;
    if (errno != EINTR)
      return fail_errno(what, errno);
  }
}

/// One that only writes or reads a struct.
template <class T>
[[nodiscard]] outcome<void> put(std::string_view what, int fd, unsigned long request,
                                const T& value) {
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
