#include "guest/image/initrd.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include <unistd.h>

using namespace troupe;
using namespace troupe::image;

namespace {

/// One line an entry, as `path mode owner mtime size`, with the device or target where there is
/// one.
std::vector<std::string> listing(const std::string& bytes) {
  std::unique_ptr<archive, decltype(&archive_read_free)> in(archive_read_new(), &archive_read_free);
  archive_read_support_format_cpio(in.get());
  REQUIRE(archive_read_open_memory(in.get(), bytes.data(), bytes.size()) == ARCHIVE_OK);
  std::vector<std::string> lines;
  archive_entry* header = nullptr;
  while (archive_read_next_header(in.get(), &header) == ARCHIVE_OK) {
    auto line = fmt::format("{} {:o} {}:{} {} {}", archive_entry_pathname(header),
                            archive_entry_mode(header), archive_entry_uid(header),
                            archive_entry_gid(header), archive_entry_mtime(header),
                            archive_entry_size(header));
    if (archive_entry_filetype(header) == AE_IFCHR)
      line +=
          fmt::format(" {}:{}", archive_entry_rdevmajor(header), archive_entry_rdevminor(header));
    if (const char* target = archive_entry_symlink(header))
      line += fmt::format(" -> {}", target);
    lines.push_back(std::move(line));
  }
  return lines;
}

/// A directory that goes away with its test.
struct scratch {
  scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "initrd-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~scratch() { std::filesystem::remove_all(path); }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;

  std::string file(const std::string& name, const std::string& content) const {
    std::ofstream(path / name) << content;
    return (path / name).string();
  }

  std::filesystem::path path;
};

} // namespace

TEST_CASE("initrd: the same entries, the same bytes") {
  const auto first = to_cpio(standard_layout("agent"));
  const auto second = to_cpio(standard_layout("agent"));
  REQUIRE(first.has_value());
  CHECK(*first == *second);
  CHECK(*first != to_cpio(standard_layout("other")).value());
}

TEST_CASE("initrd: the standard layout, read back, holds what the kernel and the agent need") {
  const auto bytes = to_cpio(standard_layout("agent")).value();
  CHECK(bytes.starts_with("070701"));
  CHECK(listing(bytes) == std::vector<std::string>{
                              "dev 40755 0:0 0 0",
                              "dev/console 20600 0:0 0 0 5:1",
                              "dev/null 20666 0:0 0 0 1:3",
                              "etc 40755 0:0 0 0",
                              "etc/group 100644 0:0 0 10",
                              "etc/hostname 100644 0:0 0 7",
                              "etc/passwd 100644 0:0 0 36",
                              "etc/resolv.conf 100644 0:0 0 0",
                              "init 100755 0:0 0 5",
                              "proc 40555 0:0 0 0",
                              "root 40700 0:0 0 0",
                              "run 40755 0:0 0 0",
                              "sbin 40755 0:0 0 0",
                              "sys 40555 0:0 0 0",
                              "tmp 41777 0:0 0 0",
                              "var 40755 0:0 0 0",
                              "var/run 120777 0:0 0 4 -> /run",
                          });
}

TEST_CASE("initrd: an added file comes with the parents that are missing") {
  const scratch dir;
  auto entries = standard_layout("agent");
  const auto before = entries.size();
  const auto words = dir.file("tool", "bytes") + ":/usr/bin/tool:755";
  REQUIRE(add(entries, added_file(words).value()).has_value());
  const auto lines = listing(to_cpio(entries).value());
  REQUIRE(lines.size() == before + 3);
  CHECK(lines[before] == "usr 40755 0:0 0 0");
  CHECK(lines[before + 1] == "usr/bin 40755 0:0 0 0");
  CHECK(lines[before + 2] == "usr/bin/tool 100755 0:0 0 5");
}

TEST_CASE("initrd: a path that is taken is refused by its name") {
  auto entries = standard_layout("agent");
  const auto again = add(entries, {.path = "init", .content = "x"});
  REQUIRE_FALSE(again.has_value());
  CHECK(again.error().code == errc::already_exists);
  CHECK(again.error().text == "'/init' is in the image already");
}

TEST_CASE("initrd: words of an added file that make no sense are refused") {
  const scratch dir;
  const auto source = dir.file("tool", "bytes");
  for (const auto& words :
       {std::string("tool"), std::string(":/tool"), source + ":tool", source + ":/a/../../tool",
        source + ":/", source + ":/tool:", source + ":/tool:999", source + ":/tool:17777"}) {
    CAPTURE(words);
    const auto refused = added_file(words);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == errc::invalid_argument);
  }
  CHECK(added_file(source + ":/tool").value().mode == 0644);
}

TEST_CASE("initrd: a source that is not there is a host error with its path") {
  const auto refused = added_file("/nonexistent/tool:/tool");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::host_io);
  CHECK(refused.error().os_error == ENOENT);
  CHECK_THAT(refused.error().text, Catch::Contains("/nonexistent/tool"));
}

TEST_CASE("initrd: a written archive replaces the old one whole") {
  const scratch dir;
  const auto path = dir.path / "out.cpio";
  REQUIRE(replace_file(path, "a longer first text").has_value());
  REQUIRE(replace_file(path, "second").has_value());
  CHECK(read_file(path).value() == "second");
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path), {}) == 1);
}
