#pragma once

#include "tools/ctl/command_line.hpp"

namespace troupe::ctl {

/// Status when a workload could not be run at all, as other container tools have it: the text on
/// standard error tells why.
inline constexpr int not_run_status = 125;

/// One function for each sub-command: does it, prints, and returns the exit status.
[[nodiscard]] int carry_out(const run_options& options);
[[nodiscard]] int carry_out(const exec_options& options);
[[nodiscard]] int carry_out(const kill_options& options);
[[nodiscard]] int carry_out(const check_options& options);
[[nodiscard]] int carry_out(const ps_options& options);
[[nodiscard]] int carry_out(const sweep_options& options);

} // namespace troupe::ctl
