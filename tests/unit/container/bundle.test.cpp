#include "actors/container/oci/bundle.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace troupe;
using namespace troupe::oci;
namespace fs = std::filesystem;

namespace {

/// A bundle in a scratch folder.
class scratch_bundle {
public:
  scratch_bundle() {
    fs::create_directories(path_ / "rootfs");
    fs::create_directories(outside());
    config("rootfs");
  }

  void config(const std::string& root) {
    text(R"({"ociVersion": "1.0.2", "process": {"args": ["sh"], "cwd": "/"}, "linux": {},
             "root": {"path": ")" +
         root + R"("}})");
  }
  void text(const std::string& all) { std::ofstream(path_ / "config.json") << all; }
  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] fs::path outside() const { return top_.file("outside"); }
  void link_root_to(const fs::path& target) {
    fs::remove(path_ / "rootfs");
    fs::create_symlink(target, path_ / "rootfs");
  }

private:
  test::scratch_folder top_;
  fs::path path_ = top_.file("bundle");
};

std::string refused(const fs::path& path) {
  const auto opened = open_bundle(path);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == errc::invalid_argument);
  return opened.error().text;
}

} // namespace

TEST_CASE("bundle: a plain one opens, and so does its root") {
  const scratch_bundle made;
  const auto opened = open_bundle(made.path().string() + "/");
  REQUIRE(opened.has_value());
  CHECK(opened->path == made.path());
  CHECK(opened->spec.process().args(0) == "sh");
  const auto root = open_root(*opened);
  REQUIRE(root.has_value());
  struct stat seen {
  }, wanted{};
  REQUIRE(::fstat(root->get(), &seen) == 0);
  REQUIRE(::stat((made.path() / "rootfs").c_str(), &wanted) == 0);
  CHECK(seen.st_ino == wanted.st_ino);
}

TEST_CASE("bundle: a root that leads out, by any road, is refused by name") {
  scratch_bundle made;
  made.link_root_to(made.outside());
  CHECK(refused(made.path()) == "root.path: \"rootfs\" is or passes a symlink");
  made.link_root_to("../outside");
  CHECK(refused(made.path()) == "root.path: \"rootfs\" is or passes a symlink");
  made.config("../outside");
  CHECK(refused(made.path()) == "root.path: \"../outside\" leads out of the bundle");
  const auto spelled_out = (made.path() / "rootfs").string();
  made.config(spelled_out);
  CHECK(refused(made.path()) == "root.path: \"" + spelled_out + "\" is or passes a symlink");
}

TEST_CASE("bundle: an absolute root elsewhere is Docker's way, but not through a symlink") {
  scratch_bundle made;
  made.config(made.outside());
  CHECK(open_root(*open_bundle(made.path())).has_value());
  const auto link = made.path() / "link";
  fs::create_symlink(made.outside(), link);
  const auto alias = made.outside().string() + "-alias";
  fs::create_symlink(made.outside(), alias);
  made.config(alias + "/");
  CHECK(open_root(*open_bundle(made.path())).error().text ==
        "root.path: \"" + alias + "/\" is or passes a symlink");
}

TEST_CASE("bundle: a missing root matters only to who uses it") {
  scratch_bundle made;
  made.config("elsewhere");
  const auto opened = open_bundle(made.path());
  REQUIRE(opened.has_value());
  CHECK(open_root(*opened).error().text == "root.path: \"elsewhere\" does not exist");
  made.config("config.json");
  CHECK(refused(made.path()) == "root.path: \"config.json\" is no directory");
  made.config("");
  CHECK(refused(made.path()) == "root.path: must not be empty");
}

TEST_CASE("bundle: a config.json that is missing, no file or a symlink is refused unread") {
  scratch_bundle made;
  fs::remove(made.path() / "config.json");
  CHECK(refused(made.path()).starts_with("bundle: config.json: open: No such file"));
  REQUIRE(::mkfifo((made.path() / "config.json").c_str(), 0600) == 0);
  CHECK(refused(made.path()) == "bundle: config.json: is no regular file");
  fs::remove(made.path() / "config.json");
  fs::create_symlink("/etc/passwd", made.path() / "config.json");
  CHECK(refused(made.path()).starts_with("bundle: config.json: open: "));
}

TEST_CASE("bundle: the path itself is checked") {
  CHECK(refused("relative") == "bundle: \"relative\" must be an absolute path");
  CHECK(refused("/no/such/bundle").starts_with("bundle: /no/such/bundle: No such file"));
}
