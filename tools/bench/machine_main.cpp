// A process that holds machines and does nothing else, for troupe-bench to look at from outside.
// usage: bench-machine FOLDER DISK KERNEL. Descriptor 3 is a socket: a machine stands, another one
// for each byte that comes; each is told by a byte. Its end is the process's.

#include "tools/bench/pod_machine.hpp"

#include <cstdio>
#include <unistd.h>

namespace troupe::bench {
namespace {

constexpr int peer = 3;

outcome<void> hold_machines(pod_machine_order what) {
  const auto loop = TRY(devices::worker::start("devices"));
  std::vector<std::unique_ptr<pod_machine>> all;
  for (char byte = 0;;) {
    what.name = fmt::format("m{}-{}", ::getpid(), all.size());
    all.push_back(TRY(pod_machine::make(what, *loop)));
    if (::write(peer, &byte, 1) != 1 || ::read(peer, &byte, 1) != 1)
      return {};
  }
}

} // namespace
} // namespace troupe::bench

int main(int argc, char** argv) {
  using namespace troupe::bench;
  if (argc != 4) {
    std::fprintf(stderr, "usage: bench-machine FOLDER DISK KERNEL\n");
    return 2;
  }
  pod_machine_order what;
  what.folder = argv[1];
  what.disk = argv[2];
  what.kernel = argv[3];
  const auto held = hold_machines(what);
  if (!held)
    std::fprintf(stderr, "bench-machine: %s\n", held.error().to_string().c_str());
  return held ? 0 : 1;
}
