#pragma once

#include "actors/supervision/spawn.hpp"
#include "actors/sandbox_registry.hpp"

#include <memory>

namespace troupe {

struct dispatcher_body {};

/// Hands every command to the sandbox it names; not_found when there is none.
[[nodiscard]] dispatcher_actor::behavior_type
run_dispatcher(dispatcher_actor::stateful_pointer<dispatcher_body> self,
               std::shared_ptr<const sandbox_registry> sandboxes);

} // namespace troupe
