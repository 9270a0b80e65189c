#pragma once

#include "actors/sandbox/hypervisor/hypervisor.hpp"
#include "actors/vcpu/machine/machine.hpp"

#include <string>

/// Between what a hypervisor is asked and what our machine is told. Pure.
namespace troupe::hypervisor::builtin {

/// The machine for a configuration with so many devices.
[[nodiscard]] vcpu::machine_order order_for(const machine_config& config, std::uint32_t devices);
/// What it boots: our own words first, so that the operator's win.
[[nodiscard]] vcpu::payload payload_for(const machine_config& config);
/// How it ended, in every hypervisor's words.
[[nodiscard]] exit_info exit_of(const vcpu::ending& how);

} // namespace troupe::hypervisor::builtin
