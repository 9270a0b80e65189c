#pragma once

#include <functional>
#include <string>
#include <thread>

namespace troupe {

/// Linux's limit for a thread's name, without the terminating zero.
inline constexpr std::size_t max_thread_name = 15;

/// A thread with a name and all signals blocked: signals are for the process's signalfd, never for
/// a thread that happens to run. `body` must not throw.
[[nodiscard]] std::thread start_thread(std::string name, std::function<void()> body);

/// Names the calling thread; longer names are cut.
void name_this_thread(const std::string& name) noexcept;

} // namespace troupe
