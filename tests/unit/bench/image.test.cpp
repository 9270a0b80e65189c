#include "tools/bench/image.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

using namespace troupe::bench;

namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file{path, std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

struct scratch : troupe::test::scratch_folder {
  void sh(const std::string& command) const {
    INFO(command);
    CHECK(std::system(("cd " + path() + " && " + command).c_str()) == 0);
  }
};

/// "sha256:abc" to its file.
fs::path blob(const scratch& where, const nlohmann::json& descriptor) {
  const auto digest = descriptor["digest"].get<std::string>();
  return fs::path{where.path()} / "blobs/sha256" / digest.substr(digest.find(':') + 1);
}

} // namespace

TEST_CASE("image: an OCI layout whose digests and sizes are those of its blobs") {
  const scratch where;
  REQUIRE(write_image(where.file("image.tar")));
  where.sh("tar -xf image.tar");
  where.sh("cd blobs/sha256 && for f in *; do echo \"$f  $f\"; done | sha256sum --quiet -c");
  const auto index = nlohmann::json::parse(read(where.file("index.json")));
  const auto& entry = index["manifests"].at(0);
  CHECK(entry["annotations"]["io.containerd.image.name"] == image_name);
  const auto manifest = nlohmann::json::parse(read(blob(where, entry)));
  const auto& layer = manifest["layers"].at(0);
  for (const auto& each : {entry, manifest["config"], layer})
    CHECK(each["size"] == fs::file_size(blob(where, each)));
  const auto config = nlohmann::json::parse(read(blob(where, manifest["config"])));
  CHECK(config["rootfs"]["diff_ids"].at(0) == layer["digest"]);
  where.sh("mkdir root && tar -C root -xf " + blob(where, layer).string());
  CHECK(read(where.file("root/bin/busybox")) == read("/bin/busybox"));
  CHECK(fs::read_symlink(where.file("root/bin/true")) == "busybox");
}
