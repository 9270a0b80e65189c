#pragma once

#include "actors/sandbox/lifecycle/table.hpp"
#include "messages/task.hpp"

namespace troupe::lifecycle {

template <class Command>
struct row_of;
template <>
struct row_of<create_task> : std::integral_constant<command, command::create> {};
template <>
struct row_of<start_process> : std::integral_constant<command, command::start> {};
template <>
struct row_of<exec_process> : std::integral_constant<command, command::exec> {};
template <>
struct row_of<delete_process> : std::integral_constant<command, command::remove> {};
template <>
struct row_of<kill_process> : std::integral_constant<command, command::kill> {};
template <>
struct row_of<wait_process> : std::integral_constant<command, command::wait> {};
template <>
struct row_of<get_state> : std::integral_constant<command, command::state> {};
template <>
struct row_of<resize_pty> : std::integral_constant<command, command::resize> {};
template <>
struct row_of<close_io> : std::integral_constant<command, command::close_io> {};
template <>
struct row_of<list_processes> : std::integral_constant<command, command::pids> {};
template <>
struct row_of<shutdown_sandbox> : std::integral_constant<command, command::shutdown> {};

/// The table's row of a command. kill_process with `all` is command::kill_all: ask its value.
template <class Command>
[[nodiscard]] constexpr command command_of() noexcept {
  return row_of<Command>::value;
}

} // namespace troupe::lifecycle
