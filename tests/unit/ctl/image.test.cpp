#include "tools/ctl/image.hpp"
#include "tools/ctl/private_folder.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>

using namespace troupe;
using namespace troupe::ctl;
namespace fs = std::filesystem;

namespace {

struct member {
  std::string name;
  std::string data;
  std::string symlink;
};

void write_tar(const std::string& path, const std::vector<member>& members) {
  auto* to = archive_write_new();
  archive_write_set_format_pax_restricted(to);
  archive_write_open_filename(to, path.c_str());
  for (const auto& one : members) {
    auto* entry = archive_entry_new();
    archive_entry_set_pathname(entry, one.name.c_str());
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_uid(entry, ::geteuid());
    archive_entry_set_gid(entry, ::getegid());
    archive_entry_set_filetype(entry, one.symlink.empty() ? AE_IFREG : AE_IFLNK);
    if (one.symlink.empty())
      archive_entry_set_size(entry, static_cast<la_int64_t>(one.data.size()));
    else
      archive_entry_set_symlink(entry, one.symlink.c_str());
    archive_write_header(to, entry);
    archive_write_data(to, one.data.data(), one.data.size());
    archive_entry_free(entry);
  }
  archive_write_free(to);
}

std::string content(const std::string& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

struct bench {
  private_folder folder = std::move(*private_folder::make());
  std::string rootfs;
  bool called_off = false;

  outcome<image_defaults> unpack(const std::vector<member>& members) {
    write_tar(folder.path() + "/i.tar", members);
    fs::create_directory(folder.path() + "/to");
    return unpack_image(folder.path() + "/i.tar", folder.path() + "/to", rootfs,
                        [this] { return called_off; });
  }
};

} // namespace

TEST_CASE("image: a plain tar is the root file system") {
  bench at;
  const auto before = fs::current_path();
  REQUIRE(at.unpack({{"bin/sh", "#!", ""}, {"./etc/x", "y", ""}}));
  CHECK(content(at.rootfs + "/bin/sh") == "#!");
  CHECK(content(at.rootfs + "/etc/x") == "y");
  CHECK(fs::current_path() == before);
}

TEST_CASE("image: names that lead out are refused") {
  for (const char* name : {"../out", "/tmp/troupe-out", "a/../../out"}) {
    bench at;
    const auto got = at.unpack({{name, "x", ""}});
    REQUIRE_FALSE(got);
    CHECK(got.error().code == errc::invalid_argument);
    CHECK_FALSE(fs::exists(at.folder.path() + "/out"));
    CHECK_FALSE(fs::exists("/tmp/troupe-out"));
  }
}

TEST_CASE("image: nothing is written through a symlink") {
  bench at;
  fs::create_directory(at.folder.path() + "/victim");
  (void)at.unpack({{"a", "", at.folder.path() + "/victim"}, {"a/x", "x", ""}});
  CHECK(fs::is_empty(at.folder.path() + "/victim"));
}

TEST_CASE("image: a layout with an unsafe digest is refused") {
  bench at;
  const auto got =
      at.unpack({{"oci-layout", "{}", ""},
                 {"index.json", R"({"manifests":[{"digest":"sha256:../../etc/passwd"}]})", ""}});
  REQUIRE_FALSE(got);
  CHECK(got.error().text.find("is not a sha256") != std::string::npos);
}

TEST_CASE("image: a layout whose blob has other content is refused") {
  bench at;
  const std::string hex(64, 'a');
  const auto got =
      at.unpack({{"oci-layout", "{}", ""},
                 {"index.json", R"({"manifests":[{"digest":"sha256:)" + hex + R"("}]})", ""},
                 {"blobs/sha256/" + hex, "{}", ""}});
  REQUIRE_FALSE(got);
  CHECK(got.error().text.find("has other content") != std::string::npos);
}

TEST_CASE("image: members of the wrong type are the image's fault") {
  bench at;
  const auto got =
      at.unpack({{"oci-layout", "{}", ""}, {"index.json", R"({"manifests":[{"digest":5}]})", ""}});
  REQUIRE_FALSE(got);
  CHECK(got.error().code == errc::invalid_argument);
}

TEST_CASE("image: it can be called off, and rubbish is refused") {
  bench at;
  at.called_off = true;
  CHECK(at.unpack({{"x", "x", ""}}).error().code == errc::cancelled);
  std::ofstream{at.folder.path() + "/rubbish"} << "no tar";
  CHECK(
      unpack_image(at.folder.path() + "/rubbish", at.folder.path(), at.rootfs, [] { return false; })
          .error()
          .code == errc::invalid_argument);
}
