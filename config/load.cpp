#include "config/load.hpp"

#include "messages/vocabulary/read_bounded.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace troupe::config {

namespace {

namespace fs = std::filesystem;

/// Reads a regular file of at most max_file_size bytes. Anything else that a path can name (a fifo
/// that nobody writes, /dev/zero) is refused without being read.
outcome<std::string> read_regular(const std::string& path) {
  const unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file)
    return fail_errno(path, errno);
  struct stat about {};
  if (::fstat(file.get(), &about) != 0)
    return fail_errno(path, errno);
  if (!S_ISREG(about.st_mode))
    return fail(errc::invalid_argument, "{}: is not a regular file", path);
  auto text = TRY(read_bounded(file.get(), max_file_size, path));
  if (text.size() > max_file_size)
    return fail(errc::invalid_argument, "{}: is larger than {} bytes", path, max_file_size);
  return text;
}

/// A file that somebody named must be there.
outcome<std::string> named(std::string_view who, const std::string& path) {
  if (!path.starts_with('/'))
    return fail(errc::invalid_argument, "{}: \"{}\" must be an absolute path", who, path);
  std::error_code why;
  auto real = fs::canonical(path, why);
  if (why == std::errc::no_such_file_or_directory)
    return fail(errc::not_found, "{}: {}: no such file", who, path);
  if (why)
    return fail_errno(fmt::format("{}: {}", who, path), why.value());
  return real.string();
}

/// The base file, symlinks resolved, so that config.d is looked for beside the real one; empty when
/// there is none.
outcome<std::string> find_base(const search_list& where) {
  if (!where.environment.empty())
    return named("TROUPE_CONF_FILE", where.environment);
  if (!where.option.empty())
    return named("runtime option ConfigPath", where.option);
  for (const auto& path : where.defaults) {
    std::error_code why;
    const auto real = fs::canonical(path, why);
    if (!why)
      return real.string();
    if (why != std::errc::no_such_file_or_directory && why != std::errc::not_a_directory)
      return fail_errno(path, why.value());
  }
  return std::string{};
}

outcome<std::vector<std::string>> drop_ins(const std::string& base) {
  const auto folder = fs::path(base).parent_path() / "config.d";
  std::error_code why;
  std::vector<std::string> found;
  for (fs::directory_iterator at(folder, why), end; !why && at != end; at.increment(why)) {
    if (at->path().extension() != ".toml")
      continue;
    if (found.size() == max_drop_ins)
      return fail(errc::invalid_argument, "{}: more than {} files", folder.string(), max_drop_ins);
    found.push_back(at->path().string());
  }
  if (why && why != std::errc::no_such_file_or_directory)
    return fail_errno(folder.string(), why.value());
  std::ranges::sort(found);
  return found;
}

std::string join(const std::vector<std::string>& lines) {
  std::string all;
  for (const auto& line : lines)
    all += (all.empty() ? "" : "; ") + line;
  return all;
}

} // namespace

outcome<report> load(const search_list& where) {
  const auto base = TRY(find_base(where));
  if (base.empty())
    return report{};
  std::vector<std::string> paths{base};
  for (auto& path : TRY(drop_ins(base)))
    paths.push_back(std::move(path));
  std::vector<source> sources;
  for (const auto& path : paths)
    sources.push_back({path, TRY(read_regular(path))});
  auto result = parse(sources);
  if (!result.errors.empty())
    return fail(errc::invalid_argument, "configuration: {}", join(result.errors));
  return result;
}

search_list standard_search(std::string option) {
  search_list where;
  if (const char* const path = ::secure_getenv("TROUPE_CONF_FILE"))
    where.environment = path;
  where.option = std::move(option);
  return where;
}

} // namespace troupe::config
