#include "actors/container/io/endpoint.hpp"
#include "tests/unit/container/io_streams.hpp"

#include <fstream>

using namespace troupe;
using namespace troupe::stdio;
using namespace troupe::stdio::test;

TEST_CASE("stdio: a bad path is refused, and the stream and the path are named") {
  fifo_folder f;
  std::ofstream{f.file("plain")} << "x";
  const auto refused = [](const auto& opened, errc code, const std::string& text) {
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == code);
    CHECK(opened.error().text == text);
  };
  const auto missing = f.file("missing");
  const auto plain = f.file("plain");
  refused(open_output("stdout", missing), errc::invalid_argument,
          "stdout: open " + missing + ": No such file or directory");
  refused(open_output("stderr", plain), errc::invalid_argument,
          "stderr: " + plain + " is not a fifo");
  refused(open_input(plain, false), errc::invalid_argument, "stdin: " + plain + " is not a fifo");
  refused(open_output("stdout", "relative/fifo"), errc::invalid_argument,
          "stdout: relative/fifo is not an absolute path");
  refused(open_output("stdout", "binary:///bin/logger?id=1"), errc::unimplemented,
          "stdout: binary:// loggers are not supported: binary:///bin/logger?id=1");
  refused(open_output("stdout", "ftp:///x"), errc::invalid_argument,
          "stdout: unknown scheme in ftp:///x");
  refused(open_input("file:///etc/passwd", false), errc::invalid_argument,
          "stdin: only a fifo can be read from: file:///etc/passwd");
}

TEST_CASE("stdio: a fifo opens without anybody on its other end, from a path or a fifo URI") {
  fifo_folder f;
  const auto path = f.fifo("o");
  for (const auto& where : {path, "fifo://" + path}) {
    const auto opened = open_output("stdout", where);
    REQUIRE(opened);
    CHECK(opened->is_fifo());
    CHECK(::write(opened->fd.get(), "x", 1) == 1);
    const auto input = open_input(where, true);
    REQUIRE(input);
    CHECK((::fcntl(input->fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(input->keeper.get(), F_GETFD) & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("stdio: no path is nowhere") {
  const auto out = open_output("stdout", "");
  const auto in = open_input("", false);
  REQUIRE((out && in));
  CHECK_FALSE(out->fd);
  CHECK_FALSE(in->fd);
}

TEST_CASE("stdio: a file URI is appended to, and made for its owner alone") {
  fifo_folder f;
  const auto path = f.file("log");
  for (int i = 0; i < 2; ++i) {
    const auto opened = open_output("stdout", "file://" + path);
    REQUIRE(opened);
    CHECK_FALSE(opened->is_fifo());
    CHECK(::write(opened->fd.get(), "line\n", 5) == 5);
  }
  CHECK(std::filesystem::file_size(path) == 10);
  CHECK(std::filesystem::status(path).permissions() == std::filesystem::perms{0600});
}
