#include "actors/container/rootfs/options.hpp"

#include <catch2/catch.hpp>

#include <sys/mount.h>

using namespace troupe;
using rootfs::mount_kind;
using rootfs::parse_options;

namespace {

using texts = std::vector<std::string>;

std::string refused(const rootfs_mount& mount, errc code = errc::invalid_argument) {
  const auto options = parse_options("rootfs[0]", mount);
  REQUIRE_FALSE(options.has_value());
  CHECK(options.error().code == code);
  return options.error().text;
}

} // namespace

TEST_CASE("rootfs options: containerd's overlay, layers in order and the rest for the kernel") {
  const auto options =
      parse_options("rootfs[0]", {"overlay",
                                  "overlay",
                                  {"index=off", "workdir=/s/3/work", "upperdir=/s/3/fs",
                                   "lowerdir=/s/2/fs:/s/1/fs", "userxattr", "nodev"}});
  REQUIRE(options.has_value());
  CHECK(options->kind == mount_kind::overlay);
  CHECK(options->lower == texts{"/s/2/fs", "/s/1/fs"});
  CHECK(options->upper == "/s/3/fs");
  CHECK(options->work == "/s/3/work");
  CHECK(options->set == MOUNT_ATTR_NODEV);
  CHECK_FALSE(options->read_only);
  CHECK(options->data ==
        std::vector<std::pair<std::string, std::string>>{{"index", "off"}, {"userxattr", ""}});
}

TEST_CASE("rootfs options: a layer's name may hold colons and backslashes, escaped") {
  const auto options =
      parse_options("rootfs[0]", {"overlay", "overlay", {R"(lowerdir=/a\:b:/c\\d)"}});
  REQUIRE(options.has_value());
  CHECK(options->lower == texts{"/a:b", R"(/c\d)"});
}

TEST_CASE("rootfs options: rbind is recursive, bind is not, and the type may be empty") {
  CHECK(parse_options("r", {"bind", "/x", {"rbind", "ro"}})->recursive);
  CHECK(parse_options("r", {"bind", "/x", {"rbind", "ro"}})->read_only);
  CHECK_FALSE(parse_options("r", {"bind", "/x", {"bind"}})->recursive);
  CHECK(parse_options("r", {"", "/x", {"bind"}})->kind == mount_kind::bind);
}

TEST_CASE("rootfs options: the last of ro and rw wins, and rw opens nothing by itself") {
  CHECK_FALSE(parse_options("r", {"bind", "/x", {"ro", "rw"}})->read_only);
  CHECK(parse_options("r", {"bind", "/x", {"rw", "ro"}})->set == MOUNT_ATTR_RDONLY);
  CHECK(parse_options("r", {"bind", "/x", {"rw"}})->clear == 0);
  CHECK(parse_options("r", {"bind", "/x", {"nosymfollow", "symfollow"}})->set == 0);
}

TEST_CASE("rootfs options: access time options replace each other as one field") {
  const auto options = parse_options("r", {"bind", "/x", {"noatime", "strictatime", "nosuid"}});
  CHECK(options->set == (MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NOSUID));
  CHECK(options->clear == MOUNT_ATTR__ATIME);
}

TEST_CASE("rootfs options: bad input, the error names mount and option") {
  CHECK(refused({"overlay", "overlay", {"upperdir=/u"}}) == "rootfs[0]: lowerdir is missing");
  CHECK(refused({"overlay", "overlay", {"lowerdir=/a:"}}) ==
        "rootfs[0]: lowerdir: \"\" must be an absolute path");
  CHECK(refused({"overlay", "overlay", {"lowerdir=/a", "upperdir=/u"}}) ==
        "rootfs[0]: upperdir and workdir need each other");
  CHECK(refused({"overlay", "overlay", {"lowerdir=/a", "upperdir=u", "workdir=/w"}}) ==
        "rootfs[0]: upperdir: \"u\" must be an absolute path");
  CHECK(refused({"bind", "/x", {"size=1"}}) == "rootfs[0]: a bind mount has no option \"size=1\"");
  CHECK(refused({"bind", "x", {}}) == "rootfs[0]: source \"x\" must be an absolute path");
  CHECK(refused({"nfs", "/x", {}}, errc::unimplemented) ==
        "rootfs[0]: type \"nfs\" cannot be mounted");
  CHECK(refused({"format/overlay", "overlay", {}}, errc::unimplemented) ==
        "rootfs[0]: type \"format/overlay\" cannot be mounted");
}

TEST_CASE("rootfs options: more layers or options than a mount may have are refused") {
  std::string layers = "lowerdir=/0";
  for (std::size_t i = 1; i < rootfs::max_layers; ++i)
    layers += ":/" + std::to_string(i);
  CHECK(parse_options("r", {"overlay", "overlay", {layers}})->lower.size() == rootfs::max_layers);
  CHECK(refused({"overlay", "overlay", {layers + ":/one-more"}}) ==
        "rootfs[0]: lowerdir: more than 500 layers");
  const texts many(rootfs::max_options + 1, "ro");
  CHECK(refused({"bind", "/x", many}) == "rootfs[0]: more than 64 options");
}
