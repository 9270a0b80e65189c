#pragma once

#include "actors/supervision/reply_guard.hpp"
#include "actors/supervision/spawn.hpp"
#include "actors/vcpu/run/processor_port.hpp"
#include "messages/vcpu.hpp"

#include <memory>
#include <vector>

namespace troupe {

struct vcpu_args {
  /// The machine's; gone with it.
  std::weak_ptr<vcpu::processor_port> processor;
  vcpu_ref me;
};

struct vcpu_body {
  std::vector<actors::reply_guard<void>> pausers;
};

[[nodiscard]] vcpu_actor::behavior_type run_vcpu(vcpu_actor::stateful_pointer<vcpu_body> self,
                                                 vcpu_args args);

} // namespace troupe
