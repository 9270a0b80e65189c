#include "shim/info.hpp"

#include "containerd_types.pb.h"
#include "messages/vocabulary/version.hpp"

namespace troupe::shim {

std::string version_line() {
  return std::string{"containerd-shim-troupe-v2 ("} + runtime_type + ") " + troupe_version;
}

std::string runtime_info() {
  containerd::types::RuntimeInfo info;
  info.set_name(runtime_type);
  info.mutable_version()->set_version(troupe_version);
  return info.SerializeAsString();
}

} // namespace troupe::shim
