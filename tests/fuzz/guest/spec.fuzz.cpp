#include "guest/agent/spec/convert.hpp"
#include "guest/agent/spec/seccomp.hpp"

#include "agent.pb.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

/// CreateContainerRequest as a peer may send it. Whatever is accepted must keep the promises that
/// the child relies on: paths are absolute and do not climb.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  grpc::CreateContainerRequest request;
  if (!request.ParseFromArray(data, static_cast<int>(size)))
    return 0;
  const auto plan = troupe::guest::to_container_plan(request.oci(), "c1");
  if (plan)
    for (const auto& mount : plan->mounts)
      if (mount.destination.front() != '/' || mount.destination.find("/../") != std::string::npos)
        std::abort();
  if (request.oci().linux().has_seccomp())
    (void)troupe::guest::to_seccomp_plan(request.oci().linux().seccomp());
  return 0;
}
