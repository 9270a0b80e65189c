#include "actors/container/oci/classify.hpp"
#include "shim/start.hpp"

#include <fstream>
#include <iterator>

namespace troupe::shim {
namespace {

/// As large as a config.json may be; what follows is Create's to refuse.
constexpr std::size_t max_config = 4 << 20;

std::string read_config(const std::string& bundle) {
  std::ifstream file{bundle + "/config.json", std::ios::binary};
  std::string text(max_config, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

} // namespace

std::string pod_of(const std::string& bundle, const container_id& own) {
  const auto annotations = oci::read_annotations(read_config(bundle));
  if (!annotations)
    return own.str();
  const auto member = oci::classify(*annotations, own);
  return member ? member->pod.str() : own.str();
}

} // namespace troupe::shim
