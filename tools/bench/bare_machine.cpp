#include "tools/bench/bare_machine.hpp"

#include "actors/sandbox/hypervisor/qemu/argv.hpp"
#include "actors/sandbox/hypervisor/qemu/host.hpp"
#include "actors/vcpu/machine_plan.hpp"
#include "config/load.hpp"

#include <fmt/ranges.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <sys/mman.h>
#include <sys/socket.h>

namespace troupe::bench {
namespace {

namespace qemu = hypervisor::qemu;

constexpr milliseconds boot_patience{120'000};
/// Every line of the agent's log is a JSON object with this field; no line of the kernel's is.
constexpr std::string_view mark_of_init = "\"source\":\"agent\"";
/// A console that says more than this without a word of init is not ours.
constexpr std::size_t max_console = 1 << 20;

struct pair {
  unique_fd ours;
  unique_fd theirs;
};

outcome<pair> socket_pair() {
  std::array<int, 2> fds{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0)
    return fail_errno("socketpair", errno);
  return pair{unique_fd{fds[0]}, unique_fd{fds[1]}};
}

/// Reads until init's first whole line.
outcome<void> await_init(const unique_fd& console, const stop_signal& stop, time_point deadline) {
  std::string said;
  for (;;) {
    TRY(stop.wait_for(console.get(), deadline));
    std::array<char, 4096> bytes{};
    const auto n = ::read(console.get(), bytes.data(), bytes.size());
    if (n <= 0)
      return fail(errc::machine_gone, "bare machine: ended before init spoke: {}", said);
    said.append(bytes.data(), static_cast<std::size_t>(n));
    const auto mark = said.find(mark_of_init);
    if (mark != said.npos && said.find('\n', mark) != said.npos)
      return {};
    if (said.size() > max_console)
      return fail(errc::guest_fault, "bare machine: the console floods");
  }
}

} // namespace

outcome<bare_machine> bare_machine::plan(const std::string& configuration) {
  auto values = TRY(config::load(config::standard_search(configuration))).values;
  values.runtime.hypervisor_name = "qemu";
  const auto chosen = TRY(hypervisor::choose(hypervisor_wishes(values), hypervisor::probe_kvm()));
  machine_place place;
  place.id = TRY(sandbox_id::parse("bare"));
  place.token = "bare";
  place.share_tag = "bare";
  auto machine = TRY(plan_machine(values, chosen, place));
  machine.devices.clear();
  machine.kernel_params += " agent.log=info agent.log_vport=0";
  return bare_machine{qemu::command_line(machine, qemu::read_host_facts())};
}

outcome<double> bare_machine::boot(const stop_signal& stop) const {
  const auto qmp = TRY(socket_pair());
  auto console = TRY(socket_pair());
  const unique_fd output{::memfd_create("qemu", MFD_CLOEXEC)};
  const std::array inherited{qmp.theirs.get(), console.theirs.get()};
  auto child = TRY(program::start(argv_, output.get(), inherited));
  console.theirs.reset(); // else its end would not be seen
  TRY(await_init(console.ours, stop, child.began() + boot_patience));
  const std::chrono::duration<double, std::milli> took = monotonic_clock::now() - child.began();
  return took.count();
}

std::string bare_machine::describe() const {
  return fmt::format("{}", fmt::join(argv_, " "));
}

} // namespace troupe::bench
