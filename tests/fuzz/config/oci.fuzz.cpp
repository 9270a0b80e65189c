#include "actors/container/oci/parse.hpp"
#include "actors/container/oci/to_guest.hpp"

#include <cstddef>
#include <cstdint>

/// A config.json of arbitrary bytes, and its rewrite for the guest: an outcome, never a crash; a
/// guest's root and shares always stay under the container's name.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe;
  const std::string text(data, data + size);
  auto spec = oci::parse_spec(text);
  if (!spec)
    return 0;
  oci::guest_options options;
  options.container = *container_id::parse("c1");
  options.bundle = "/b";
  const auto guest = oci::to_guest(*std::move(spec), options);
  if (!guest)
    return 0;
  for (const auto& share : guest->shares)
    if (!share.name.starts_with("c1/mounts/") || !share.source.starts_with('/'))
      __builtin_trap();
  return 0;
}
