#include "guest/agent/boot/listen.hpp"
#include "guest/agent/boot/options.hpp"

#include <cstddef>
#include <cstdint>

/// A kernel command line holds what the host, a boot loader and an operator put there.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  troupe::guest::agent_options options;
  if (troupe::guest::apply_cmdline(text, options))
    (void)troupe::guest::parse_server_address(options.server_address);
  return 0;
}
