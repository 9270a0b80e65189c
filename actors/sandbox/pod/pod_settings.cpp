#include "actors/sandbox/pod/pod_settings.hpp"

#include "actors/container/oci/bundle.hpp"
#include "config/annotations.hpp"
#include "config/load.hpp"

#include <sys/sysinfo.h>

#include <thread>

namespace troupe::pod {
namespace {

config::host_limits this_host() {
  struct sysinfo info {};
  config::host_limits out;
  out.cpus = std::max(1U, std::thread::hardware_concurrency());
  if (::sysinfo(&info) == 0)
    out.memory_mib = static_cast<std::uint64_t>(info.totalram) * info.mem_unit >> 20;
  return out;
}

} // namespace

outcome<settings> read_settings(const std::string& config_path, const std::string& bundle) {
  auto found = config::load(config::standard_search(config_path));
  if (!found && found.error().code == errc::not_found) // to a caller that would mean the container
    found.error().code = errc::invalid_argument;
  auto loaded = TRY(std::move(found));
  settings out{std::move(loaded.values), std::move(loaded.warnings)};
  if (bundle.empty())
    return out;
  const auto opened = TRY(oci::open_bundle(bundle));
  const config::annotation_map annotations{opened.spec.annotations().begin(),
                                           opened.spec.annotations().end()};
  auto notes = TRY(config::apply_annotations(out.values, annotations, this_host()));
  out.warnings.insert(out.warnings.end(), notes.begin(), notes.end());
  return out;
}

} // namespace troupe::pod
