#include "tools/ctl/private_folder.hpp"

#include "messages/vocabulary/log.hpp"

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace troupe::ctl {

outcome<private_folder> private_folder::make() {
  std::error_code error;
  const auto parent = std::filesystem::temp_directory_path(error);
  if (error)
    return fail_errno("temporary folder", error.value());
  std::string path = (parent / "troupectl-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr)
    return fail_errno("mkdtemp " + path, errno);
  return private_folder{std::move(path)};
}

private_folder::~private_folder() {
  if (path_.empty())
    return;
  std::error_code error; // does not follow symlinks
  std::filesystem::remove_all(path_, error);
  if (error)
    log::error("troupectl", "remove {}: {}", path_, error.message());
}

} // namespace troupe::ctl
