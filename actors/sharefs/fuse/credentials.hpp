#pragma once

#include "actors/sharefs/fuse/answer.hpp"

#include <sys/types.h>

#include <cstdint>

namespace troupe::fuse {

/// Makes the calling thread fit to serve FUSE: a umask of 0 of its own (the guest applied its
/// umask), no supplementary groups, and only the capabilities that file work as root needs.
/// CAP_SYS_RESOURCE goes, so quotas and reserved blocks hold; CAP_SYS_ADMIN goes, so trusted.*
/// attributes are out of reach. Call first on each worker thread; there is no way back for that
/// thread.
/// @returns host_io naming the step. Without root there is nothing to drop and it succeeds.
[[nodiscard]] outcome<void> prepare_worker_thread();

/// While it lives, the calling thread acts on files as the guest's caller: what it makes belongs to
/// `user` and `group`, and for a user other than root the rights to chown, to change other owners'
/// files and to keep SUID, SGID and capabilities of a written file are gone. The rights to read and
/// write against the mode bits stay: the guest's kernel checks those, and it alone knows the
/// caller's supplementary groups (a pod's fsGroup). As 0:0 it costs nothing.
class acting_as {
public:
  acting_as(std::uint32_t user, std::uint32_t group) noexcept;
  ~acting_as();
  acting_as(const acting_as&) = delete;
  acting_as& operator=(const acting_as&) = delete;

  /// EPERM when the kernel did not switch: the request must not run as root instead.
  [[nodiscard]] answer<void> check() const noexcept;

private:
  uid_t user_;
  gid_t group_;
  std::uint64_t before_ = 0;
  bool switched_ = true;
};

/// While it lives, a write or truncation by this thread clears SUID and SGID, even as root.
class killing_suid {
public:
  explicit killing_suid(bool wanted) noexcept;
  ~killing_suid();
  killing_suid(const killing_suid&) = delete;
  killing_suid& operator=(const killing_suid&) = delete;

private:
  std::uint64_t before_ = 0;
  bool dropped_ = false;
};

} // namespace troupe::fuse
