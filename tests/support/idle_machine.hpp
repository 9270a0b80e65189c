#pragma once

#include "actors/sandbox/hypervisor/hypervisor.hpp"

#include <string>
#include <vector>

namespace troupe::test {

/// A machine without a guest, that does at once whatever it is told: the base of drivers for tests
/// of those who command machines.
class idle_machine : public hypervisor::driver {
public:
  outcome<void> prepare(const hypervisor::machine_config&) override { return {}; }
  outcome<void> start(time_point) override { return {}; }
  outcome<hypervisor::exit_info> stop(time_point) override { return hypervisor::exit_info{}; }
  outcome<hypervisor::exit_info> wait(time_point) override {
    return fail(errc::deadline_exceeded, "it goes on");
  }
  outcome<void> pause(time_point) override { return {}; }
  outcome<void> resume(time_point) override { return {}; }
  outcome<void> save(const std::string&, time_point) override { return {}; }
  outcome<hypervisor::machine_size> resize(const hypervisor::machine_size& wanted,
                                           time_point) override {
    return wanted;
  }
  outcome<void> add_device(const hypervisor::device&, time_point) override { return {}; }
  outcome<void> remove_device(const std::string&, time_point) override { return {}; }
  outcome<void> update_device(const hypervisor::device&, time_point) override { return {}; }
  outcome<std::string> agent_address() const override { return std::string{}; }
  hypervisor::capabilities capabilities() const override { return {}; }
  outcome<hypervisor::machine_metrics> metrics() const override {
    return hypervisor::machine_metrics{};
  }
  std::optional<hypervisor::process_identity> process() const override { return std::nullopt; }
  std::vector<std::string> console_tail() const override { return {}; }
};

} // namespace troupe::test
