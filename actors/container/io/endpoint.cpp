#include "actors/container/io/endpoint.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace troupe::stdio {
namespace {

constexpr int fifo_flags = O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
constexpr int file_flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY;

struct location {
  std::string scheme{};
  std::string path{};
};

outcome<location> parse(std::string_view stream, const std::string& where) {
  const auto mark = where.find("://");
  location at{mark == std::string::npos ? "fifo" : where.substr(0, mark),
              mark == std::string::npos ? where : where.substr(mark + 3)};
  if (at.scheme == "binary")
    return fail(errc::unimplemented, "{}: binary:// loggers are not supported: {}", stream, where);
  if (at.scheme != "fifo" && at.scheme != "file")
    return fail(errc::invalid_argument, "{}: unknown scheme in {}", stream, where);
  if (!at.path.starts_with('/') || at.path.find('\0') != std::string::npos)
    return fail(errc::invalid_argument, "{}: {} is not an absolute path", stream, where);
  return at;
}

outcome<unique_fd> open_path(std::string_view stream, const std::string& path, int flags) {
  unique_fd fd{::open(path.c_str(), flags, S_IRUSR | S_IWUSR)};
  if (fd)
    return fd;
  const int error = errno;
  auto why = fail_errno(fmt::format("{}: open {}", stream, path), error);
  if (error == ENOENT || error == ENOTDIR || error == EISDIR || error == ELOOP)
    why.value().code = errc::invalid_argument;
  return why;
}

outcome<unique_fd> open_reader(std::string_view stream, const std::string& path) {
  auto reader = TRY(open_path(stream, path, O_RDONLY | fifo_flags));
  struct stat is {};
  if (::fstat(reader.get(), &is) != 0)
    return fail_errno(fmt::format("{}: fstat {}", stream, path), errno);
  if (!S_ISFIFO(is.st_mode))
    return fail(errc::invalid_argument, "{}: {} is not a fifo", stream, path);
  return reader;
}

/// The write end of a fifo without a reader cannot be opened non-blocking: open the reader first.
outcome<unique_fd> open_writer(std::string_view stream, const std::string& path) {
  return open_path(stream, path, O_WRONLY | fifo_flags);
}

} // namespace

outcome<output_end> open_output(std::string_view stream, const std::string& where) {
  if (where.empty())
    return output_end{};
  const auto at = TRY(parse(stream, where));
  if (at.scheme == "file")
    return output_end{.fd = TRY(open_path(stream, at.path, file_flags))};
  output_end out;
  out.keeper = TRY(open_reader(stream, at.path));
  out.fd = TRY(open_writer(stream, at.path));
  return out;
}

outcome<input_end> open_input(const std::string& where, bool terminal) {
  if (where.empty())
    return input_end{};
  const auto at = TRY(parse("stdin", where));
  if (at.scheme == "file")
    return fail(errc::invalid_argument, "stdin: only a fifo can be read from: {}", where);
  input_end in;
  in.fd = TRY(open_reader("stdin", at.path));
  if (terminal) // opening a writer and closing it again would already look like the end
    in.keeper = TRY(open_writer("stdin", at.path));
  return in;
}

} // namespace troupe::stdio
