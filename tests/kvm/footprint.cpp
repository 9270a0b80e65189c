#include "tests/kvm/footprint.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace troupe::testing {
namespace {

std::size_t entries_of(const char* folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator{folder}, {}));
}

std::size_t mappings_of_machines() {
  std::ifstream maps{"/proc/self/maps"};
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);)
    if (line.find("guest-ram") != line.npos || line.find("kvm-vcpu") != line.npos)
      ++count;
  return count;
}

} // namespace

std::ostream& operator<<(std::ostream& to, const footprint& it) {
  return to << it.descriptors << " descriptors, " << it.threads << " threads, " << it.mappings
            << " mappings";
}

footprint measure() {
  return {entries_of("/proc/self/fd"), entries_of("/proc/self/task"), mappings_of_machines()};
}

footprint settled(const footprint& wanted) {
  const auto end = monotonic_clock::now() + seconds{1};
  auto now = measure();
  while (now != wanted && monotonic_clock::now() < end) {
    std::this_thread::yield();
    now = measure();
  }
  return now;
}

byte_count resident() {
  std::ifstream status{"/proc/self/statm"};
  byte_count total = 0;
  byte_count pages = 0;
  status >> total >> pages;
  return pages * kib(4);
}

} // namespace troupe::testing
