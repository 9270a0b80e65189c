#include "guest/agent/storage/storage.hpp"

#include "guest/agent/launch/in_root.hpp"
#include "guest/agent/launch/mounting.hpp"
#include "guest/agent/spec/mount_options.hpp"
#include "guest/agent/spec/paths.hpp"
#include "messages/vocabulary/log.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <charconv>

namespace troupe::guest {
namespace {

using strings = google::protobuf::RepeatedPtrField<std::string>;

outcome<unsigned> option_number(std::string_view option, std::string_view key, int base) {
  const auto text = option.substr(key.size());
  unsigned value = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc{} || stop != end || text.empty())
    return fail(errc::invalid_argument, "storages.options: '{}' is not a number", option);
  return value;
}

outcome<unique_fd> mount_point(const std::string& at) {
  const unique_fd slash{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  return make_dir_in_root(slash.get(), at);
}

outcome<void> give_group(const grpc::Storage& storage, const std::string& at) {
  if (!storage.has_fs_group())
    return {};
  if (::chown(at.c_str(), static_cast<uid_t>(-1), storage.fs_group().group_id()) != 0 ||
      ::chmod(at.c_str(), 02770) != 0)
    return fail_errno("storages.fs_group " + at, errno);
  return {};
}

/// `fsgid=N` is our peer's word, not the file system's.
outcome<mount_options> split_options(const strings& options) {
  std::vector<std::string> rest;
  for (const auto& option : options)
    if (!option.starts_with("fsgid="))
      rest.push_back(option);
  return parse_mount_options(rest);
}

outcome<void> mount_file_system(const grpc::Storage& storage, const std::string& at,
                                const std::string& type) {
  const auto options = TRY(split_options(storage.options()));
  const auto target = TRY(mount_point(at));
  const auto mount = TRY(new_mount(type, storage.source(), options.data, options.set));
  TRY(attach_mount(mount.get(), target.get()));
  return give_group(storage, at);
}

outcome<void> mount_virtio_fs(const grpc::Storage& storage, const std::string& at) {
  return mount_file_system(storage, at, "virtiofs");
}

/// A tmpfs of the guest: /dev/shm of the pod, memory-backed volumes. Its options are honoured, so a
/// size bounds it.
outcome<void> mount_ephemeral(const grpc::Storage& storage, const std::string& at) {
  if (!storage.fstype().empty() && storage.fstype() != "tmpfs")
    return fail(errc::unimplemented, "storages.fstype: '{}' for driver ephemeral",
                storage.fstype().substr(0, 32));
  return mount_file_system(storage, at, "tmpfs");
}

/// A device that is there already, by its name.
outcome<void> mount_block(const grpc::Storage& storage, const std::string& at) {
  if (!storage.source().starts_with("/dev/"))
    return fail(errc::unimplemented, "storages.source: '{}' is not a path below /dev",
                storage.source().substr(0, 64));
  return mount_file_system(storage, at, storage.fstype());
}

/// A plain directory of the guest.
outcome<void> make_local(const grpc::Storage& storage, const std::string& at) {
  const auto target = TRY(mount_point(at));
  for (const auto& option : storage.options()) {
    constexpr std::string_view mode = "mode=";
    constexpr std::string_view group = "fsgid=";
    if (option.starts_with(mode)) {
      const auto bits = TRY(option_number(option, mode, 8));
      if (::chmod(at.c_str(), bits & 07777) != 0)
        return fail_errno("storages.options: " + option, errno);
    } else if (option.starts_with(group)) {
      const auto gid = TRY(option_number(option, group, 10));
      if (::chown(at.c_str(), static_cast<uid_t>(-1), gid) != 0 || ::chmod(at.c_str(), 02770) != 0)
        return fail_errno("storages.options: " + option, errno);
    }
  }
  return give_group(storage, at);
}

outcome<void> mount_bind(const grpc::Storage& storage, const std::string& at) {
  const auto source = TRY(container_path("storages.source", storage.source()));
  const auto options = TRY(split_options(storage.options()));
  const auto tree = TRY(clone_mount(AT_FDCWD, source, options.bind_all));
  struct stat info {};
  if (::fstat(tree.get(), &info) != 0)
    return fail_errno("storages.source: " + source, errno);
  const unique_fd slash{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  const auto target = TRY(S_ISDIR(info.st_mode) ? make_dir_in_root(slash.get(), at)
                                                : make_file_in_root(slash.get(), at));
  TRY(apply_options(tree.get(), options));
  return attach_mount(tree.get(), target.get());
}

using driver = outcome<void> (*)(const grpc::Storage&, const std::string&);

constexpr std::array<std::pair<std::string_view, driver>, 6> drivers{{
    {"virtio-fs", mount_virtio_fs},
    {"ephemeral", mount_ephemeral},
    {"local", make_local},
    {"bind", mount_bind},
    {"blk", mount_block},
    {"mmioblk", mount_block},
}};

outcome<driver> find_driver(std::string_view name) {
  for (const auto& [known, mount] : drivers)
    if (known == name)
      return mount;
  return fail(errc::unimplemented, "storages.driver: '{}'", name.substr(0, 64));
}

/// A mount is detached even if somebody still looks into it; a directory goes when it is empty.
void undo(const std::string& at, const std::string& driver) {
  if (driver != "local" && ::umount2(at.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
    log::warn("storage", "umount {}: errno {}", at, errno);
  ::rmdir(at.c_str());
}

} // namespace

const std::vector<std::string>& storage_drivers() {
  static const auto names = [] {
    std::vector<std::string> out;
    for (const auto& [name, mount] : drivers)
      out.emplace_back(name);
    return out;
  }();
  return names;
}

outcome<void> storage_table::acquire_one(const grpc::Storage& storage, const std::string& at) {
  const auto mount = TRY(find_driver(storage.driver()));
  std::unique_lock lock{guard_};
  if (entries_.size() >= max_storages)
    return fail(errc::resource_exhausted, "{} are mounted already", entries_.size());
  auto& entry = entries_[at];
  ++entry.users;
  if (!changed_.wait_for(lock, storage_wait, [&entry] { return !entry.busy; })) {
    --entry.users;
    return fail(errc::deadline_exceeded, "another call is mounting it for more than {} ms",
                storage_wait.count());
  }
  if (entry.mounted)
    return {};
  entry.busy = true;
  entry.driver = storage.driver();
  entry.shared = storage.shared();
  lock.unlock();
  auto done = mount(storage, at);
  lock.lock();
  entry.busy = false;
  entry.mounted = done.has_value();
  if (!done && --entry.users == 0)
    entries_.erase(at);
  changed_.notify_all();
  return done;
}

outcome<std::vector<std::string>>
storage_table::acquire(const google::protobuf::RepeatedPtrField<grpc::Storage>& wanted) {
  std::vector<std::string> taken;
  for (const auto& storage : wanted) {
    auto at = container_path("storages.mount_point", storage.mount_point());
    auto done = at ? acquire_one(storage, *at) : tl::unexpected(at.error());
    if (!done) {
      release(taken);
      return within("storage " + storage.mount_point().substr(0, 128), done.error());
    }
    taken.push_back(*std::move(at));
  }
  return taken;
}

void storage_table::release_one(const std::string& at, bool even_shared) {
  std::unique_lock lock{guard_};
  const auto found = entries_.find(at);
  if (found == entries_.end() || found->second.busy || !found->second.mounted)
    return;
  auto& entry = found->second;
  entry.users -= entry.users > 0 ? 1 : 0;
  if (!even_shared && (entry.users > 0 || entry.shared))
    return;
  entry.busy = true;
  entry.mounted = false;
  const auto driver = entry.driver;
  lock.unlock();
  undo(at, driver);
  lock.lock();
  entry.busy = false;
  if (entry.users == 0 || even_shared)
    entries_.erase(at);
  changed_.notify_all();
}

void storage_table::release(const std::vector<std::string>& mount_points) {
  for (auto at = mount_points.rbegin(); at != mount_points.rend(); ++at)
    release_one(*at, false);
}

void storage_table::release_all() {
  std::vector<std::string> all;
  {
    const std::lock_guard lock{guard_};
    for (const auto& [at, entry] : entries_)
      all.push_back(at);
  }
  for (auto at = all.rbegin(); at != all.rend(); ++at) // inner mounts before outer ones
    release_one(*at, true);
}

} // namespace troupe::guest
