#include "tools/bench/bare_kvm.hpp"
#include "tools/bench/bench.hpp"
#include "tools/bench/pod_machine.hpp"
#include "tools/bench/standing.hpp"

// The first to make a machine after a QEMU has ended often waits 8 ms longer for the kernel's
// readers, whoever it is: that is `exec`, which has no target, never one of the pair with the
// floor.
//
// No guest code runs in any of them. Ours has five devices, QEMU only its own; what ends a machine
// is not in the figures, but it comes before the next contestant's turn.

namespace troupe::bench {
namespace {

constexpr const char* name = "vmm-start";
/// Before each start, for what the end of the machine before it left the kernel to do.
constexpr milliseconds settle{50};

/// What our own machines share.
struct stable {
  std::unique_ptr<devices::worker> loop;
  pod_machine_order least;  ///< the least kernel
  pod_machine_order linux_; ///< Linux and our agent's initrd
};

double ms_since(time_point begin) {
  return std::chrono::duration<double, std::milli>(monotonic_clock::now() - begin).count();
}

outcome<stable> make_stable(const order& what) {
  stable out;
  out.loop = TRY(devices::worker::start("devices"));
  out.least.folder = "/run"; // as a pod's: in memory, and the world's own
  out.least.name = "machine";
  out.least.disk = what.where.folder + "/disk";
  out.least.kernel = what.where.folder + "/kernel";
  out.linux_ = out.least;
  out.linux_.kernel = what.build + "/guest/vmlinux-product";
  out.linux_.initrd = what.build + "/bin/initrd.cpio";
  return out;
}

outcome<double> start_ours(const stable& in, const pod_machine_order& what) {
  const auto begin = monotonic_clock::now();
  const auto made = TRY(pod_machine::make(what, *in.loop));
  return ms_since(begin);
}

outcome<double> start_floor(kernel_state* state) {
  const auto begin = monotonic_clock::now();
  const auto made =
      TRY(bare_kvm::make({mib(128), pod_machine_doorbells, pod_machine_lines, state}));
  return ms_since(begin);
}

outcome<double> start_process(const std::vector<std::string>& argv, const stop_signal& stop) {
  return TRY(standing::start(argv, stop)).took_ms();
}

} // namespace

outcome<std::vector<row>> vmm_start(const order& what) {
  const auto ours_argv = TRY(ours_standing(what.build, what.where.folder));
  const auto mine = TRY(make_stable(what));
  auto state = TRY(kernel_state::make());
  const auto qemu = TRY(qemu_standing("", ""));
  const auto qemu_linux = TRY(qemu_standing(mine.linux_.kernel, mine.linux_.initrd));
  const auto alone = [&](auto start) {
    return [start, &stop = what.stop](std::uint32_t) -> outcome<double> {
      TRY(stop.rest(settle));
      return start();
    };
  };
  const std::vector<contestant> contestants{
      {"exec", alone([&] { return start_process(ours_argv, what.stop); })},
      {"ours", alone([&] { return start_ours(mine, mine.least); })},
      {"floor", alone([&] { return start_floor(&state); })},
      {"floor stateless", alone([] { return start_floor(nullptr); })},
      {"qemu", alone([&] { return start_process(qemu, what.stop); })},
      {"ours with Linux", alone([&] { return start_ours(mine, mine.linux_); })},
      {"qemu with Linux", alone([&] { return start_process(qemu_linux, what.stop); })},
  };
  const plan_of_rounds plan{1, what.n};
  auto all = TRY(interleave(contestants, plan, note_rounds(contestants, plan, "ms")));
  for (std::size_t i = 0; i < all.size(); ++i)
    note(fmt::format("{}: {}", contestants[i].name, describe(all[i], "ms")));
  return std::vector<row>{
      {name, "qemu", "ms", all[1], "qemu", all[4]},
      {name, "floor", "ms", all[1], "floor", all[2]},
      {name, "floor stateless", "ms", all[1], "floor", all[3]},
      {name, "exec", "ms", all[0], "", {}},
      {name, "qemu exec", "ms", all[0], "qemu", all[4]},
      {name, "qemu linux", "ms", all[5], "qemu", all[6]},
  };
}

} // namespace troupe::bench
