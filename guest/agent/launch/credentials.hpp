#pragma once

#include "guest/agent/spec/plan.hpp"
#include "messages/vocabulary/outcome.hpp"

namespace troupe::guest {

/// First half, before the process parks: limits, bounding set, groups and ids. The permitted set
/// survives, for the second half.
[[nodiscard]] outcome<void> become_user(const process_plan& plan, const capability_sets& wanted);

/// Second half, right before exec: the filter and the final sets. The filter comes as late as it
/// can (with no_new_privs after the capabilities, without it before them, because loading needs
/// CAP_SYS_ADMIN then), so that it has to allow as little of ours as possible.
[[nodiscard]] outcome<void> drop_privileges(const process_plan& plan, const capability_sets& wanted,
                                            const seccomp_plan& filter);

} // namespace troupe::guest
