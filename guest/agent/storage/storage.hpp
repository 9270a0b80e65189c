#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include "agent.pb.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::guest {

/// Most storages of one call and of the sandbox.
inline constexpr std::size_t max_storages = 1024;

/// How long one user of a mount point waits for another that is mounting it.
inline constexpr milliseconds storage_wait = seconds{60};

/// Drivers that are served, as AgentDetails.storage_handlers lists them.
[[nodiscard]] const std::vector<std::string>& storage_drivers();

/// File systems the host asks for before a container, counted by mount point: the second user of
/// one only counts, the last one unmounts. Any worker thread; the lock is not held while mounting.
class storage_table {
public:
  /// Mounts all of `wanted` in order; on a failure those that were mounted by this call are let go.
  /// @returns the mount points, for release(). invalid_argument or unimplemented name the field.
  [[nodiscard]] outcome<std::vector<std::string>>
  acquire(const google::protobuf::RepeatedPtrField<grpc::Storage>& wanted);

  /// Lets go of each; failures are logged, none keeps the rest.
  void release(const std::vector<std::string>& mount_points);

  /// Everything, at the end of the sandbox.
  void release_all();

private:
  struct entry {
    std::size_t users = 0; ///< Waiting ones included: an entry somebody counts on is never erased.
    bool busy = false;     ///< Being mounted or unmounted by somebody, outside the lock.
    bool mounted = false;
    bool shared = false; ///< Kept until the sandbox ends.
    std::string driver;
  };

  [[nodiscard]] outcome<void> acquire_one(const grpc::Storage& storage, const std::string& at);
  void release_one(const std::string& at, bool even_shared);

  std::mutex guard_;
  std::condition_variable changed_;
  std::map<std::string, entry> entries_;
};

} // namespace troupe::guest
