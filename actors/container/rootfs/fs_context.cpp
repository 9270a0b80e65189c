#include "actors/container/rootfs/fs_context.hpp"

#include <sys/mount.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace troupe::rootfs {

namespace {

/// fsconfig(2) copies at most this much of a text, NUL included.
constexpr std::size_t max_value = 256;
/// Messages that the kernel keeps in a context's log.
constexpr int max_log_lines = 8;

} // namespace

failed mount_failure(const std::string& what, int os_error) {
  auto result = fail_errno(what, os_error);
  switch (os_error) {
  case EINVAL:
  case ENOENT:
  case ENOTDIR:
  case ELOOP:
  case ENAMETOOLONG:
  case ENOTBLK:
    result.value().code = errc::invalid_argument;
    break;
  default:
    break;
  }
  return result;
}

outcome<fs_context> fs_context::open(std::string field, std::string type) {
  unique_fd fd(::fsopen(type.c_str(), FSOPEN_CLOEXEC));
  if (!fd && errno == ENODEV)
    return fail(errc::unimplemented, "{}: this kernel has no file system \"{}\"", field, type);
  if (!fd)
    return fail_errno(fmt::format("{}: fsopen {}", field, type), errno);
  return fs_context(std::move(field), std::move(type), std::move(fd));
}

outcome<void> fs_context::set(const std::string& name, const std::string& value) {
  const auto what = [&] {
    return value.empty() ? fmt::format("option {}", name)
                         : fmt::format("option {}={}", name, value);
  };
  if (value.size() >= max_value)
    return fail(errc::invalid_argument, "{}: option {} is longer than {} bytes", field_, name,
                max_value - 1);
  const bool flag = value.empty();
  if (::fsconfig(fd_.get(), flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, name.c_str(),
                 flag ? nullptr : value.c_str(), 0) != 0)
    return refused(what(), errno);
  return {};
}

outcome<unique_fd> fs_context::mount(std::uint64_t attributes) {
  if (::fsconfig(fd_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return refused("cannot be mounted", errno);
  unique_fd root(::fsmount(fd_.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
  if (!root)
    return refused("fsmount", errno);
  return root;
}

bool fs_context::checks_options() const {
  const bool swallowed = ::fsconfig(fd_.get(), FSCONFIG_SET_FLAG, "troupe-probe", nullptr, 0) == 0;
  (void)drain_log();
  return !swallowed;
}

failed fs_context::refused(const std::string& what, int os_error) const {
  auto result = mount_failure(fmt::format("{}: {}: {}", field_, type_, what), os_error);
  if (const auto why = drain_log(); !why.empty())
    result.value().text += fmt::format(" ({})", why);
  return result;
}

/// Each read gives one message: a letter for its severity, a space, the text.
std::string fs_context::drain_log() const {
  std::string all;
  std::array<char, 512> line{};
  for (int i = 0; i < max_log_lines; ++i) {
    const auto got = ::read(fd_.get(), line.data(), line.size());
    if (got <= 2)
      break;
    std::string_view text(line.data() + 2, static_cast<std::size_t>(got) - 2);
    while (text.ends_with('\n'))
      text.remove_suffix(1);
    all += (all.empty() ? "" : "; ") + std::string(text);
  }
  return all;
}

} // namespace troupe::rootfs
