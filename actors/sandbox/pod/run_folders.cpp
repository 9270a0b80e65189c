#include "actors/sandbox/pod/run_folders.hpp"

#include <sha256.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace troupe::pod {
namespace {

std::string sha256_hex(std::string_view text) {
  SHA2_CTX context;
  SHA256Init(&context);
  SHA256Update(&context, static_cast<const std::uint8_t*>(static_cast<const void*>(text.data())),
               text.size());
  std::array<char, SHA256_DIGEST_STRING_LENGTH> hex{};
  return SHA256End(&context, hex.data());
}

std::string pod_hash(const std::string& address, const namespace_id& space,
                     const std::string& group) {
  return sha256_hex(fmt::format("{}/{}/{}", address, space, group));
}

outcome<void> make_private_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return fail_errno("mkdir " + path, errno);
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0)
    return fail_errno("lstat " + path, errno);
  if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() || (found.st_mode & 077) != 0)
    return fail(errc::permission_denied, "{}: must be a folder of ours with mode 0700", path);
  return {};
}

} // namespace

std::string run_root() {
  const char* given = std::getenv("TROUPE_RUN_DIR");
  return given != nullptr && *given == '/' ? given : "/run/troupe";
}

std::string pod_directory(const std::string& address, const namespace_id& space,
                          const std::string& group) {
  return fmt::format("{}/pods/{}-{}", run_root(), group,
                     pod_hash(address, space, group).substr(0, 12));
}

std::string socket_path(const std::string& address, const namespace_id& space,
                        const std::string& group) {
  return fmt::format("{}/s/{}", run_root(), pod_hash(address, space, group));
}

outcome<void> make_run_folders() {
  std::error_code ignored; // the parent may be there; the private ones are checked
  std::filesystem::create_directories(std::filesystem::path{run_root()}.parent_path(), ignored);
  TRY(make_private_folder(run_root()));
  TRY(make_private_folder(run_root() + "/s"));
  return make_private_folder(run_root() + "/pods");
}

} // namespace troupe::pod
