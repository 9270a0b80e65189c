#include "actors/sandbox/hypervisor/qemu/hotplug.hpp"

#include <cstdlib>

// Whatever QEMU sends: it may be a process that a guest has taken over.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe::hypervisor::qemu;
  const std::string text(data, data + size);
  qmp::splitter lines;
  if (!lines.feed(text))
    return 0;
  while (const auto line = lines.next()) {
    const auto what = qmp::parse(*line);
    if (!what && what.error().code != troupe::errc::peer_fault)
      std::abort();
    if (what && std::holds_alternative<qmp::answer>(*what))
      (void)cpu_slots(std::get<qmp::answer>(*what).value);
  }
  return 0;
}
