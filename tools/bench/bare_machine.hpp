#pragma once

#include "actors/sandbox/hypervisor/machine_config.hpp"
#include "tools/bench/program.hpp"

namespace troupe::bench {

/// What a pod's machine is made of, and nothing around it: the same program, machine type, CPU
/// model, accelerator, kernel, initrd and memory, without the pod's devices.
class bare_machine {
public:
  /// @param configuration the shim's file; the rules that choose a pod's accelerator apply,
  /// whatever
  ///   hypervisor it names: this is QEMU.
  [[nodiscard]] static outcome<bare_machine> plan(const std::string& configuration);

  /// Milliseconds from just before QEMU's exec until the agent, as init, has written its first line
  /// to the serial console; then the machine is killed. That line says that it listens: with its
  /// log port off, nothing else of its log, nor of a quiet kernel, comes before.
  /// cancelled; deadline_exceeded; machine_gone: it ended first, with the console's last words.
  [[nodiscard]] outcome<double> boot(const stop_signal& stop) const;

  /// QEMU's command line in one line.
  [[nodiscard]] std::string describe() const;

private:
  explicit bare_machine(std::vector<std::string> argv) : argv_(std::move(argv)) {}
  std::vector<std::string> argv_;
};

} // namespace troupe::bench
