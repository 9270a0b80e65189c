#pragma once

#include "messages/events.hpp"
#include "messages/task.hpp"

#include <string>

/// Between containerd's protobuf and our commands; pure. Every decode validates ids and bounds and
/// answers invalid_argument with the field's name.
namespace troupe::task_api {

/// Most mounts and options of one root file system; overlay stacks have some dozens.
inline constexpr std::size_t max_rootfs_mounts = 64;
inline constexpr std::size_t max_mount_options = 512;
/// Largest process spec of an exec; a shell's environment fits many times.
inline constexpr std::size_t max_process_spec = 1 << 20;
/// Linux has 64 signals.
inline constexpr std::uint32_t max_signal = 64;

[[nodiscard]] outcome<create_task> decode_create(const std::string& bytes);
[[nodiscard]] outcome<start_process> decode_start(const std::string& bytes);
[[nodiscard]] outcome<exec_process> decode_exec(const std::string& bytes);
[[nodiscard]] outcome<delete_process> decode_delete(const std::string& bytes);
[[nodiscard]] outcome<kill_process> decode_kill(const std::string& bytes);
[[nodiscard]] outcome<wait_process> decode_wait(const std::string& bytes);
[[nodiscard]] outcome<get_state> decode_state(const std::string& bytes);
[[nodiscard]] outcome<resize_pty> decode_resize(const std::string& bytes);
[[nodiscard]] outcome<close_io> decode_close_io(const std::string& bytes);
[[nodiscard]] outcome<list_processes> decode_pids(const std::string& bytes);
[[nodiscard]] outcome<get_state> decode_connect(const std::string& bytes);
[[nodiscard]] outcome<shutdown_sandbox> decode_shutdown(const std::string& bytes);

[[nodiscard]] std::string encode_created(const task_pid& answer);
[[nodiscard]] std::string encode_started(const task_pid& answer);
[[nodiscard]] std::string encode_deleted(const deleted_process& answer);
[[nodiscard]] std::string encode_exit(const exit_record& answer);
[[nodiscard]] std::string encode_state(const process_report& answer);
[[nodiscard]] std::string encode_pids(const std::vector<process_report>& answer);
[[nodiscard]] std::string encode_connect(const process_report& answer, std::uint32_t shim_pid);

/// containerd's topic: "/tasks/exit".
[[nodiscard]] std::string_view topic(const event::any& what) noexcept;
/// A ForwardRequest, ready to send. The Any's type is the bare message name, as containerd wants
/// it.
[[nodiscard]] std::string encode_event(const event::record& record, const namespace_id& space);

} // namespace troupe::task_api
