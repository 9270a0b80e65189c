#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

namespace troupe::journal {

/// Deletes a network interface of the namespace file `netns` by RTM_DELLINK, on a thread of its own
/// (setns(2) is per thread). No such namespace or interface is a success.
/// deadline_exceeded: the kernel did not answer; host_io.
[[nodiscard]] outcome<void> delete_link(const std::string& netns, const std::string& name,
                                        time_point deadline);

} // namespace troupe::journal
