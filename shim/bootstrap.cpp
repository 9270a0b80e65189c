#include "shim/bootstrap.hpp"

#include "bootstrap.pb.h"
#include "wellknown.pb.h"

#include <unistd.h>

#include <array>
#include <cerrno>

namespace troupe::shim {

outcome<std::string> read_to_end(int fd) {
  std::string out;
  std::array<char, 4096> chunk{};
  for (;;) {
    const auto got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail_errno("read standard input", errno);
    if (got == 0)
      return out;
    out.append(chunk.data(), static_cast<std::size_t>(got));
    if (out.size() > max_bootstrap_input)
      return fail(errc::resource_exhausted, "standard input: more than {} bytes",
                  max_bootstrap_input);
  }
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
