#include "guest/agent/launch/program.hpp"

#include "guest/agent/launch/in_root.hpp"
#include "guest/agent/spec/cut.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>

namespace troupe::guest {
namespace {

using std::string_view;

constexpr string_view default_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string read_passwd() {
  const unique_fd root{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  const auto file = open_in_root(root.get(), "/etc/passwd", O_RDONLY | O_NONBLOCK);
  struct stat info {};
  if (!file || ::fstat(file->get(), &info) != 0 || !S_ISREG(info.st_mode))
    return {};
  std::string text(std::min(static_cast<std::size_t>(info.st_size), max_passwd_bytes), '\0');
  const auto got = ::read(file->get(), text.data(), text.size());
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return text;
}

string_view variable(const process_plan& plan, string_view key) noexcept {
  for (const string_view entry : plan.environment)
    if (entry.starts_with(key) && entry.size() > key.size() && entry[key.size()] == '=')
      return entry.substr(key.size() + 1);
  return {};
}

bool runnable(const std::string& path) noexcept {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0;
}

} // namespace

string_view find_home(string_view passwd, uid_t uid) noexcept {
  while (!passwd.empty()) {
    auto line = cut(passwd, '\n');
    std::array<string_view, 6> fields{};
    for (auto& field : fields)
      field = cut(line, ':');
    uid_t number = 0;
    const auto* end = fields[2].data() + fields[2].size();
    const auto [stop, error] = std::from_chars(fields[2].data(), end, number);
    if (error == std::errc{} && stop == end && number == uid)
      return fields[5];
  }
  return {};
}

std::vector<std::string> complete_environment(const process_plan& plan) {
  auto environment = plan.environment;
  if (!variable(plan, "HOME").empty())
    return environment;
  const auto passwd = read_passwd();
  const auto home = find_home(passwd, plan.uid);
  environment.push_back(fmt::format("HOME={}", home.empty() ? "/" : home));
  return environment;
}

outcome<std::string> find_program(const process_plan& plan) {
  const auto& name = plan.arguments.front();
  if (name.find('/') != std::string::npos) {
    if (runnable(name))
      return name;
    return fail(errc::invalid_argument, "process.args: '{}' is not an executable file", name);
  }
  auto path = variable(plan, "PATH");
  if (path.empty())
    path = default_path;
  while (!path.empty()) {
    const auto dir = cut(path, ':');
    auto candidate = fmt::format("{}/{}", dir.empty() ? "." : dir, name);
    if (runnable(candidate))
      return candidate;
  }
  return fail(errc::invalid_argument, "process.args: '{}': executable file not found in PATH",
              name);
}

outcome<void> enter_cwd(const process_plan& plan) {
  if (::chdir(plan.cwd.c_str()) != 0)
    return fail_errno(fmt::format("process.cwd: {}", plan.cwd), errno);
  std::array<char, PATH_MAX> where{};
  if (::getcwd(where.data(), where.size()) == nullptr || where.front() != '/')
    return fail(errc::guest_fault, "process.cwd: {} is outside the container", plan.cwd);
  return {};
}

} // namespace troupe::guest
