#pragma once

#include "guest/agent/spec/plan.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace troupe::guest {

/// Most bytes of the container's /etc/passwd that are read for a home directory.
inline constexpr std::size_t max_passwd_bytes = 1u << 20;

/// Home directory of `uid` in the text of a passwd file; empty when it is not there.
[[nodiscard]] std::string_view find_home(std::string_view passwd, uid_t uid) noexcept;

/// The environment for execve: the plan's, and HOME (from the container's /etc/passwd, else "/")
/// when it has none.
[[nodiscard]] std::vector<std::string> complete_environment(const process_plan& plan);

/// Path of the program: argv[0] itself when it holds a slash, else found in PATH. Looked up before
/// the process is called ready, so that a missing program fails the create.
/// @returns invalid_argument that names it.
[[nodiscard]] outcome<std::string> find_program(const process_plan& plan);

/// Goes to the working directory.
/// @returns guest_fault when it turns out to lie outside the root (CVE-2024-21626).
[[nodiscard]] outcome<void> enter_cwd(const process_plan& plan);

} // namespace troupe::guest
