#include "actors/container/rootfs/disk.hpp"

#include "actors/container/rootfs/fs_context.hpp"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>

namespace troupe::rootfs {

namespace {

/// Another process may take the free loop device that we were told of; then we ask again.
constexpr int loop_tries = 16;

/// A loop device that is bound to a file. It unbinds itself with its last user.
struct loop_device {
  unique_fd fd;
  std::string path;
};

outcome<unique_fd> open_image(const std::string& field, const rootfs_mount& mount, bool read_only) {
  unique_fd image(::open(mount.source.c_str(),
                         (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!image)
    return mount_failure(fmt::format("{}: source {}", field, mount.source), errno);
  struct stat about {};
  if (::fstat(image.get(), &about) != 0)
    return fail_errno(fmt::format("{}: source {}", field, mount.source), errno);
  if (!S_ISREG(about.st_mode))
    return fail(errc::invalid_argument, "{}: source {} is no regular file, so it cannot be looped",
                field, mount.source);
  return image;
}

outcome<loop_device> bind_loop(const std::string& field, int image, bool read_only) {
  const unique_fd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control)
    return fail_errno(field + ": /dev/loop-control", errno);
  loop_config wanted{};
  wanted.fd = static_cast<__u32>(image);
  wanted.info.lo_flags = LO_FLAGS_AUTOCLEAR;
  if (read_only)
    wanted.info.lo_flags |= LO_FLAGS_READ_ONLY;
  for (int i = 0; i < loop_tries; ++i) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0)
      return fail_errno(field + ": no free loop device", errno);
    loop_device device;
    device.path = fmt::format("/dev/loop{}", number);
    device.fd.reset(::open(device.path.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
    if (!device.fd)
      return fail_errno(fmt::format("{}: {}", field, device.path), errno);
    if (::ioctl(device.fd.get(), LOOP_CONFIGURE, &wanted) == 0)
      return device;
    if (errno != EBUSY)
      return fail_errno(fmt::format("{}: configure {}", field, device.path), errno);
  }
  return fail(errc::resource_exhausted, "{}: every free loop device was taken by others", field);
}

/// A directory is no block device (CVE-2026-24054), and a disk that the host has mounted is not the
/// container's: O_EXCL fails on a device with an owner.
outcome<void> check_device(const std::string& field, const std::string& path) {
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0)
    return mount_failure(fmt::format("{}: source {}", field, path), errno);
  if (S_ISREG(about.st_mode))
    return fail(errc::invalid_argument, "{}: source {} is a file; option loop is missing", field,
                path);
  if (!S_ISBLK(about.st_mode))
    return fail(errc::invalid_argument, "{}: source {} is no block device", field, path);
  const unique_fd device(::open(path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
  if (!device && errno == EBUSY)
    return fail(errc::invalid_argument, "{}: source {} is in use on the host", field, path);
  if (!device)
    return fail_errno(fmt::format("{}: source {}", field, path), errno);
  return {};
}

outcome<unique_fd> mount_device(const std::string& field, const std::string& type,
                                const std::string& device, const mount_options& options) {
  auto context = TRY(fs_context::open(field, type));
  TRY(context.set("source", device));
  if (options.read_only)
    TRY(context.set("ro", "")); // else a journal would be replayed
  for (const auto& [name, value] : options.data)
    TRY(context.set(name, value));
  return context.mount(options.set);
}

} // namespace

outcome<unique_fd> mount_disk(const std::string& field, const rootfs_mount& mount,
                              const mount_options& options) {
  if (!options.loop) {
    TRY(check_device(field, mount.source));
    return mount_device(field, mount.type, mount.source, options);
  }
  const auto image = TRY(open_image(field, mount, options.read_only));
  const auto device = TRY(bind_loop(field, image.get(), options.read_only));
  return mount_device(field, mount.type, device.path, options);
}

} // namespace troupe::rootfs
