#include "shim/bootstrap.hpp"

#include "messages/vocabulary/read_bounded.hpp"

#include "bootstrap.pb.h"
#include "wellknown.pb.h"

namespace troupe::shim {

outcome<std::string> read_to_end(int fd) {
  auto out = TRY(read_bounded(fd, max_bootstrap_input, "read standard input"));
  if (out.size() > max_bootstrap_input)
    return fail(errc::resource_exhausted, "standard input: more than {} bytes",
                max_bootstrap_input);
  return out;
}

outcome<void> check_bootstrap_input(std::string_view bytes, const container_id& id) {
  if (bytes.empty())
    return {};
  const std::string text{bytes};
  // Both messages begin with a string, so a message that parses as one also parses as the other.
  // Fields beyond the second one tell: only BootstrapParams has them.
  containerd::runtime::bootstrap::v1::BootstrapParams params;
  const bool parsed = params.ParseFromString(text);
  if (parsed && params.instance_id() == id.str())
    return {};
  const bool more = parsed && (!params.containerd_version().empty() ||
                               !params.containerd_ttrpc_address().empty() ||
                               !params.containerd_grpc_address().empty());
  if (more)
    return fail(errc::invalid_argument, "bootstrap parameters: for id '{}', but -id is {}",
                params.instance_id().substr(0, max_id_length), id);
  troupe::wire::Any options;
  if (!options.ParseFromString(text) || options.type_url().empty())
    return fail(errc::invalid_argument,
                "standard input: neither runtime options nor bootstrap parameters");
  return {};
}

} // namespace troupe::shim
