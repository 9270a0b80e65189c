#include "tools/bench/bench.hpp"
#include "tools/bench/containerd.hpp"
#include "tools/bench/usage.hpp"

#include <algorithm>
#include <array>

// All pods run at once, so PSS divides what they share by n of each kind; the guest's memory and
// QEMU are not the daemon's and have their own row.

namespace troupe::bench {
namespace {

constexpr const char* name = "shim-memory";
constexpr const char* peer = "shim-runc-v2";
/// After the last start: threads of a pool end, allocators give back.
constexpr milliseconds idle{10'000};

struct figure {
  const char* name;
  const char* unit;
  std::uint64_t usage::*value;
};

constexpr std::array figures{
    figure{"rss-anon", "kB", &usage::rss_anon_kb},
    figure{"pss", "kB", &usage::pss_kb},
    figure{"threads", "threads", &usage::threads},
};

bool is_shim_of(const process& which, const std::string& id) {
  const auto at = std::ranges::find(which.argv, "-id");
  return which.argv.front().find("containerd-shim-") != std::string::npos &&
         at != which.argv.end() && std::next(at) != which.argv.end() && *std::next(at) == id;
}

outcome<pid_t> shim_of(const std::vector<process>& all, const std::string& id) {
  const auto found =
      std::ranges::find_if(all, [&](const process& each) { return is_shim_of(each, id); });
  if (found == all.end())
    return fail(errc::not_found, "shim of {}: is not running", id);
  return found->pid;
}

outcome<pid_t> machine_of(const std::vector<process>& all, pid_t shim) {
  const auto found = std::ranges::find_if(all, [&](const process& each) {
    return each.parent == shim && each.argv.front().find("qemu-system") != std::string::npos;
  });
  if (found == all.end())
    return fail(errc::not_found, "machine of process {}: is not running", shim);
  return found->pid;
}

void count(samples& to, const outcome<usage>& of, std::uint64_t usage::*value) {
  if (of)
    to.add(static_cast<double>((*of).*value));
  else
    to.add_failure();
}

outcome<usage> usage_of_shim(const std::vector<process>& all, const std::string& id) {
  return read_usage(TRY(shim_of(all, id)));
}

outcome<usage> usage_of_machine(const std::vector<process>& all, const std::string& id) {
  return read_usage(TRY(machine_of(all, TRY(shim_of(all, id)))));
}

std::string id_of(const char* who, std::uint32_t index) {
  return fmt::format("{}-{}", who, index);
}

/// Ours and theirs in turn. A pod that does not start is found missing later, and counts as failed.
outcome<void> start_pods(const containerd& daemon, const order& what) {
  for (std::uint32_t i = 0; i < what.n; ++i) {
    note(fmt::format("starting pod {} of {} of each kind", i + 1, what.n));
    for (const auto& [who, runtime] : {std::pair{"troupe", our_runtime}, {"runc", runc_runtime}}) {
      const auto started = daemon.start_idle(runtime, id_of(who, i));
      if (!started && started.error().code == errc::cancelled)
        return started;
      if (!started)
        note(started.error().to_string());
    }
  }
  return what.stop.rest(idle);
}

std::vector<row> look(std::uint32_t n) {
  std::vector<row> rows;
  for (const auto& each : figures)
    rows.push_back({name, fmt::format("{} {}", peer, each.name), each.unit, {}, peer, {}});
  rows.push_back({name, "qemu-rss", "kB", {}, "", {}});
  const auto all = list_processes();
  for (std::uint32_t i = 0; i < n; ++i) {
    const auto ours = usage_of_shim(all, id_of("troupe", i));
    const auto theirs = usage_of_shim(all, id_of("runc", i));
    for (std::size_t k = 0; k < figures.size(); ++k) {
      count(rows[k].ours, ours, figures[k].value);
      count(rows[k].peers, theirs, figures[k].value);
    }
    count(rows.back().ours, usage_of_machine(all, id_of("troupe", i)), &usage::rss_kb);
  }
  return rows;
}

} // namespace

outcome<std::vector<row>> shim_memory(const order& what) {
  const auto daemon = TRY(containerd::start(what.where, what.build, what.stop));
  TRY(start_pods(daemon, what));
  auto rows = look(what.n);
  for (const auto& each : rows)
    note(fmt::format("{}: ours: {}", each.name, describe(each.ours, each.unit)));
  for (std::uint32_t i = 0; i < what.n; ++i)
    for (const char* who : {"troupe", "runc"})
      daemon.remove(id_of(who, i));
  return rows;
}

} // namespace troupe::bench
