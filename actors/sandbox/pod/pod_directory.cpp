#include "actors/sandbox/pod/pod_directory.hpp"

#include "actors/sandbox/journal/sweep.hpp"

#include <sys/random.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>

namespace troupe::pod {
namespace {

std::string journal_path(const std::string& folder) {
  return fmt::format("{}/{}", folder, journal::file_name);
}

outcome<void> clear_remains(const std::string& path, time_point deadline) {
  if (!std::filesystem::exists(path))
    return {};
  const auto host = journal::make_host_effects();
  const auto swept = journal::sweep_one(path, *host, deadline);
  if (!swept && swept.error().code == errc::failed_precondition)
    return fail(errc::already_exists, "pod folder {}: {}", path, swept.error().text);
  if (!swept)
    return within("pod folder " + path, swept.error());
  if (swept->problem)
    return within("pod folder " + path, *swept->problem);
  return {};
}

} // namespace

outcome<std::unique_ptr<journal::file>> open_directory(const std::string& path,
                                                       time_point deadline) {
  TRY(clear_remains(path, deadline));
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path{path}.parent_path(), error);
  if (error)
    return fail_errno("create the folder above " + path, error.value());
  if (::mkdir(path.c_str(), 0700) != 0)
    return fail_errno("mkdir " + path, errno);
  const auto owner = TRY(journal::this_process());
  auto opened = journal::file::create(journal_path(path), owner, {{journal::root::state, path}});
  if (!opened)
    std::filesystem::remove_all(path, error);
  return opened;
}

journal::undo_report close_directory(const std::string& path, journal::file& journal,
                                     time_point deadline) {
  const auto host = journal::make_host_effects();
  auto report = journal::undo_all(journal, *host, deadline);
  std::error_code error;
  if (report.clean())
    std::filesystem::remove_all(path, error);
  return report;
}

std::string new_token() {
  std::array<unsigned char, 16> bytes{};
  // The first 256 bytes of getrandom never block nor fail once the host has booted.
  [[maybe_unused]] const auto got = ::getrandom(bytes.data(), bytes.size(), 0);
  std::string out;
  for (const auto byte : bytes)
    out += fmt::format("{:02x}", byte);
  return out;
}

} // namespace troupe::pod
