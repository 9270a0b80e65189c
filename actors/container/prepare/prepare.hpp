#pragma once

#include "actors/sharefs/share_root.hpp"
#include "messages/task.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include "agent.pb.h"

#include <memory>
#include <string>
#include <vector>

/// A bundle made ready for the guest: everything that blocks on the host's file systems, in one go.
namespace troupe::prepare {

/// A host tree under the name by which the guest finds it.
struct shared_tree {
  std::string name;
  unique_fd tree;
  sharefs::share_policy policy;
};

/// What a container is made of. The descriptors are detached mounts: dropping them undoes it all.
struct prepared_container {
  std::shared_ptr<const grpc::CreateContainerRequest> request;
  std::vector<shared_tree> trees;
  /// What of the spec does not reach the guest, a line each, for the log.
  std::vector<std::string> notes;
};

struct prepare_options {
  bool disable_guest_seccomp = false;
};

/// Reads the bundle, mounts the root file system, opens the host side of every bind mount and
/// rewrites the spec. invalid_argument names the field of config.json or the mount; host_io.
/// Blocks; any thread with CAP_SYS_ADMIN.
[[nodiscard]] outcome<prepared_container> container(const create_task& task,
                                                    const prepare_options& options);

/// The request that runs a further process. invalid_argument names the field of the process object.
[[nodiscard]] outcome<std::shared_ptr<const grpc::ExecProcessRequest>>
process(const exec_process& exec);

/// What the guest is told once per pod: its host name and the storages of all containers.
[[nodiscard]] grpc::CreateSandboxRequest sandbox(const sandbox_id& id, const std::string& hostname);

/// virtio-fs tag under which the agent mounts the share root.
inline constexpr const char* share_tag = "kataShared";

} // namespace troupe::prepare
