#pragma once

#include "actors/devices/virtio/device.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <exception>

namespace troupe::virtio {

/// Runs a device's work that comes from elsewhere than process(): a failure or an exception of
/// `call` (which returns outcome<void>) goes to the transport, named by `stage`.
template <class Call>
void guarded(const activation& given, const char* stage, const Call& call) noexcept {
  const auto failed = [&](const failure& why) {
    if (given.failed)
      given.failed({why.code, fmt::format("{}: {}", stage, why.text), why.os_error});
  };
  try {
    const outcome<void> done = call();
    if (!done)
      failed(done.error());
  } catch (const std::exception& error) {
    failed({errc::internal, fmt::format("exception: {}", error.what()), 0});
  } catch (...) {
    failed({errc::internal, "exception of unknown type", 0});
  }
}

} // namespace troupe::virtio
