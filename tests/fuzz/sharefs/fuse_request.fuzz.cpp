// Any bytes as FUSE requests over a small tree: pairs of a 16-bit length and a request of that
// length. The server must not crash, answer more than there is room for, or touch anything outside
// the share.
#include "actors/sharefs/fuse/server.hpp"
#include "tests/support/fuse_client.hpp"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

using namespace troupe;

namespace {

namespace fs = std::filesystem;

/// A folder with the shared tree and, beside it, a canary.
class world {
public:
  world() {
    // No file grows over a megabyte, whatever a request asks for.
    const rlimit size{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_FSIZE, &size);
    ::signal(SIGXFSZ, SIG_IGN);
    std::string pattern = fs::temp_directory_path() / "troupe-fuzz-fs-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    std::ofstream{folder_ / "canary"} << "alive";
  }
  ~world() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  /// The tree as at first; nodes are 2 the root, 3 file, 4 dir, 5 link, 6 fifo, handles 1 file, 2
  /// dir.
  unique_fd fresh_tree() const {
    const auto tree = folder_ / "tree";
    fs::remove_all(tree);
    fs::create_directories(tree / "dir" / "inner");
    std::ofstream{tree / "file"} << "some text";
    std::ofstream{tree / "dir" / "file"} << "more text";
    fs::create_symlink("../canary", tree / "link");
    ::mkfifo((tree / "fifo").c_str(), 0600);
    return unique_fd{::open(tree.c_str(), O_PATH | O_CLOEXEC)};
  }
  void check_outside() const {
    std::string text;
    std::ifstream{folder_ / "canary"} >> text;
    const auto entries = std::distance(fs::directory_iterator{folder_}, fs::directory_iterator{});
    if (text != "alive" || entries != 2) {
      std::fprintf(stderr, "something outside the share was touched\n");
      std::abort();
    }
  }

private:
  fs::path folder_;
};

void serve(fuse::session& shares, const std::uint8_t* data, std::size_t size) {
  testing::fuse_client guest{shares};
  guest.room = 8192;
  std::vector<std::byte> request(size);
  for (std::size_t i = 0; i < size; ++i)
    request[i] = std::byte{data[i]};
  const auto reply = guest.send(std::move(request));
  if (reply.body.size() > guest.room)
    std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const world outside;
  fuse::session shares{{.nodes = 32, .cached_descriptors = 2, .handles = 8}};
  if (!shares.add_share("c1/rootfs", outside.fresh_tree(), {}))
    std::abort();
  testing::fuse_client guest{shares};
  guest.init();
  const auto root = guest.walk("c1/rootfs");
  for (const auto* name : {"file", "dir", "link", "fifo"})
    guest.lookup(root, name);
  guest.open(3, O_RDWR);
  guest.open(4, 0, FUSE_OPENDIR);
  while (size > 2) {
    const std::size_t length = std::min<std::size_t>(data[0] + data[1] * 256U, size - 2);
    serve(shares, data + 2, length);
    data += 2 + length;
    size -= 2 + length;
  }
  outside.check_outside();
  return 0;
}
