#pragma once

#include "actors/sandbox/hypervisor/qemu/qmp.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>

namespace troupe::hypervisor::qemu {

/// One QMP connection. Commands block their callers, from any thread; the io thread reads for all
/// of them in on_readable(). When the connection ends, every waiter fails at once.
class qmp_client {
public:
  using event_handler = std::function<void(const qmp::event&)>;

  /// `socket` is a connected stream. `on_event` is called from within on_readable().
  qmp_client(unique_fd socket, event_handler on_event);

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }

  /// Waits for QEMU's greeting and leaves the negotiation mode.
  /// @returns QEMU's version. machine_gone; deadline_exceeded names the stage; peer_fault.
  [[nodiscard]] outcome<std::string> negotiate(time_point deadline);

  /// Sends a command and waits for its answer. With `passed` >= 0 that descriptor goes along.
  /// peer_fault: QEMU refused, its words in the text; machine_gone: the connection ended;
  /// deadline_exceeded: the answer, when it comes, is ignored.
  [[nodiscard]] outcome<nlohmann::json> execute(std::string_view name,
                                                const nlohmann::json& arguments,
                                                time_point deadline, int passed = -1);

  /// Reads what there is. False: the connection is over. One thread at a time.
  [[nodiscard]] bool on_readable();

  /// Fails every waiter, now and later.
  void close(const failure& why);

private:
  struct waiter {
    std::optional<outcome<nlohmann::json>> result;
  };

  [[nodiscard]] outcome<void> send(const std::string& line, int passed);
  void handle(qmp::message what);
  void settle(std::uint64_t id, outcome<nlohmann::json> result);

  unique_fd socket_;
  event_handler on_event_;
  qmp::splitter lines_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<qmp::greeting> greeting_;
  std::optional<failure> closed_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, waiter*> waiters_;
};

} // namespace troupe::hypervisor::qemu
