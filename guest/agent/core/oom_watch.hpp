#pragma once

#include "guest/agent/cgroup/cgroup.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace troupe::guest {

/// Out-of-memory kills nobody has asked for yet. A container that is killed in a circle fills it;
/// then the oldest is dropped.
inline constexpr std::size_t max_oom_events = 100;
/// GetOOMEvent calls that may wait.
inline constexpr std::size_t max_oom_waiters = 8;

/// Tells which containers lost a process to the kernel's out-of-memory killer, by watching
/// memory.events of their cgroups. One thread: the loop's.
class oom_watch {
public:
  using answer = std::function<void(outcome<std::string>)>;

  explicit oom_watch(asio::io_context& io);

  /// Without a memory controller nothing is watched.
  void add(const std::string& container, std::shared_ptr<const cgroup> group);
  void remove(const std::string& container);

  /// Answers with a container id as soon as there is one.
  void next(answer done);

  /// All that wait are told `cancelled`: the sandbox ends.
  void stop();

private:
  struct watched {
    std::string container;
    std::shared_ptr<const cgroup> group;
    std::uint64_t kills = 0;
  };

  void listen();
  void check(int watch);
  void push(const std::string& container);

  asio::posix::stream_descriptor events_;
  std::map<int, watched> watched_;
  std::deque<std::string> queue_;
  std::deque<answer> waiting_;
};

} // namespace troupe::guest
