#include "config/load.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace troupe;
using namespace troupe::config;
namespace fs = std::filesystem;

namespace {

struct scratch : test::scratch_folder {
  std::string write(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path{file(name)}.parent_path());
    std::ofstream(file(name)) << text;
    return file(name);
  }
};

std::string vcpus(int count) {
  return "[hypervisor.qemu]\ndefault_vcpus = " + std::to_string(count) + "\n";
}

/// A list that finds nothing by default.
search_list nothing(const scratch& tmp) {
  search_list where;
  where.defaults = {tmp.file("none.toml")};
  return where;
}

} // namespace

TEST_CASE("config search: no file anywhere gives the built-in defaults") {
  const scratch tmp;
  const auto result = load(nothing(tmp));
  REQUIRE(result.has_value());
  CHECK(result->files.empty());
}

TEST_CASE("config search: environment beats option beats the first default that exists") {
  const scratch tmp;
  auto where = nothing(tmp);
  where.defaults.push_back(tmp.write("default.toml", vcpus(2)));
  where.defaults.push_back(tmp.write("second.toml", vcpus(5)));
  CHECK(load(where)->values.qemu.default_vcpus == 2);
  where.option = tmp.write("option.toml", vcpus(3));
  CHECK(load(where)->values.qemu.default_vcpus == 3);
  where.environment = tmp.write("environment.toml", vcpus(4));
  CHECK(load(where)->values.qemu.default_vcpus == 4);
}

TEST_CASE("config search: a file that was named must exist, be absolute and be a file") {
  const scratch tmp;
  auto where = nothing(tmp);
  where.option = tmp.file("gone.toml");
  CHECK(load(where).error().code == errc::not_found);
  CHECK(load(where).error().text ==
        "runtime option ConfigPath: " + where.option + ": no such file");
  where.option = "relative.toml";
  CHECK(load(where).error().text ==
        "runtime option ConfigPath: \"relative.toml\" must be an absolute path");
  where.option = tmp.file("fifo");
  REQUIRE(::mkfifo(where.option.c_str(), 0600) == 0);
  CHECK(load(where).error().text == where.option + ": is not a regular file");
  where.environment = "/dev/zero";
  CHECK(load(where).error().text == "/dev/zero: is not a regular file");
}

TEST_CASE("config search: drop-ins beside the real file, in byte order, only *.toml") {
  const scratch tmp;
  const auto base = tmp.write("real/configuration.toml", vcpus(2));
  tmp.write("real/config.d/20-b.toml", vcpus(4));
  tmp.write("real/config.d/10-a.toml", vcpus(3));
  tmp.write("real/config.d/99.toml.bak", vcpus(9));
  fs::create_symlink(base, tmp.file("link.toml"));
  auto where = nothing(tmp);
  where.option = tmp.file("link.toml");
  const auto result = load(where);
  REQUIRE(result.has_value());
  CHECK(result->values.qemu.default_vcpus == 4);
  CHECK(result->files.size() == 3);
  CHECK(result->files[1].ends_with("10-a.toml"));
}

TEST_CASE("config search: more drop-ins than a start should read are refused") {
  const scratch tmp;
  auto where = nothing(tmp);
  where.option = tmp.write("c.toml", "");
  for (std::size_t i = 0; i <= max_drop_ins; ++i)
    tmp.write(fmt::format("config.d/{}.toml", i), "");
  CHECK(load(where).error().text == tmp.file("config.d") + ": more than 64 files");
}

TEST_CASE("config search: violations of all files come in one failure") {
  const scratch tmp;
  auto where = nothing(tmp);
  where.option = tmp.write("c.toml", vcpus(0));
  tmp.write("config.d/a.toml", "[budgets]\nshare_threads = 99\n");
  const auto result = load(where);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code == errc::invalid_argument);
  CHECK(result.error().text ==
        fmt::format("configuration: {}:2: hypervisor.qemu.default_vcpus: 0 is not in 1 ... 255; "
                    "{}:2: budgets.share_threads: 99 is not in 1 ... 16",
                    tmp.file("c.toml"), tmp.file("config.d/a.toml")));
}
