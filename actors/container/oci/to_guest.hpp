#pragma once

#include "actors/container/oci/classify.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "oci.pb.h"

#include <string>
#include <vector>

namespace troupe::oci {

/// Where the guest mounts the share of the pod; "<container>/rootfs" and "<container>/mounts/N" are
/// names below it.
inline constexpr std::string_view guest_share_dir = "/run/kata-containers/shared/containers";
/// The pod's /dev/shm in the guest, which CreateSandbox sets up; its containers share it.
inline constexpr std::string_view guest_shm_dir = "/run/kata-containers/sandbox/shm";

/// A host file or directory that a mount of the container needs.
struct share_request {
  /// Where in config.json it comes from, for errors: "mounts[3] (/etc/hosts)".
  std::string field;
  /// Absolute host path.
  std::string source;
  /// Its name below guest_share_dir.
  std::string name;
  bool read_only = false;
  /// Mounts below the source come along (rbind).
  bool recursive = false;
};

struct guest_options {
  container_id container;
  container_kind kind = container_kind::single;
  /// Absolute path of the bundle; relative bind sources start there.
  std::string bundle;
  bool disable_guest_seccomp = false;
};

/// The container as the guest is told of it, and what the host has to share for it.
struct guest_container {
  grpc::Spec spec;
  std::vector<share_request> shares;
  /// CreateContainerRequest.sandbox_pidns: the spec joined a pid namespace.
  bool sandbox_pidns = false;
  /// Some mount uses guest_shm_dir.
  bool uses_sandbox_shm = false;
  /// What was left out and why, a line each. For the log.
  std::vector<std::string> notes;
};

/// The name of a container's root file system below guest_share_dir.
[[nodiscard]] std::string rootfs_name(const container_id& container);

/// Rewrites a host's spec for the guest. Pure.
///
/// - root.path is the share's; bind mounts of host files become share requests.
/// - Namespaces lose their paths; network, time and pid ones go (the pod has one network, the agent
///   makes the pid namespace). There always is a mount namespace.
/// - The cgroup path is "/<id>"; block I/O, network and cpuset limits stay on the host, as do
/// device
///   nodes and device rules of real host devices: their numbers mean something else in the guest.
/// - Hooks other than startContainer belong to the host and are left out, as are labels of
///   security modules that the guest does not run.
/// @returns invalid_argument or unimplemented, naming the field.
[[nodiscard]] outcome<guest_container> to_guest(grpc::Spec spec, const guest_options& options);

/// The same for the process of an exec: without labels of security modules.
[[nodiscard]] grpc::Process to_guest(grpc::Process process);

/// The same for the limits of an update.
[[nodiscard]] grpc::LinuxResources to_guest(grpc::LinuxResources limits);

} // namespace troupe::oci
