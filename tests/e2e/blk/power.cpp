// A guest whose power is cut in the middle of its work: what was flushed is there, of what
// was only written any part may be, and its ext4 is sound with every file that was said to be safe.
#include "actors/devices/virtio/blk/device.hpp"
#include "tests/e2e/blk/disks.hpp"
#include "tests/support/guest.hpp"
#include "tests/support/must.hpp"
#include "tests/support/recording_file.hpp"
#include "tests/support/scratch.hpp"

#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string_view>

using namespace troupe;
using namespace troupe::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t disk_bytes = 24U << 20;
constexpr std::size_t block = 4096;
constexpr int cuts = 24;
constexpr seconds limit{840};

std::string read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// The exit status of a shell's command.
int run(const std::string& command) {
  const int status = std::system((command + " >/dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class power_test {
public:
  power_test() {
    const auto path = folder_.file("image");
    std::ofstream{path}.flush();
    std::filesystem::resize_file(path, disk_bytes);
    if (run("/sbin/mkfs.ext4 -q -F -J size=4 " + path) != 0)
      throw std::runtime_error("mkfs.ext4");
    medium_->cached = medium_->safe = read_file(path);
  }

  int cut_many() {
    const auto loop = must(devices::worker::start("blk-test"));
    const auto guest = make_guest();
    guest->add(device(), *loop);
    guest->boot(TROUPE_INITRD, "blk_suite=power");
    const auto until = monotonic_clock::now() + limit;
    auto next_cut = until;
    for (int done = 0; done < cuts && monotonic_clock::now() < until && guest->alive();) {
      if (const auto line = guest->next_line(next_cut)) {
        hear(*line);
        next_cut = std::min(next_cut, monotonic_clock::now() + a_while());
      } else if (guest->alive()) {
        cut();
        ++done;
        next_cut = monotonic_clock::now() + a_while();
      }
    }
    check(guest->alive(), "the guest came so far");
    guest->end();
    cut();
    check(safe_ > cuts / 2, "it wrote files meanwhile: " + std::to_string(safe_ + 1));
    check(differed_ > 0, "some cuts lost writes: " + std::to_string(differed_));
    return failures_;
  }

private:
  [[nodiscard]] std::unique_ptr<virtio::device> device() const {
    const blk::geometry shape{.size = disk_bytes, .block_size = 512, .physical_block = block};
    return std::make_unique<blk::device>(
        must(blk::disk::make(std::make_unique<recording_file>(medium_, shape),
                             {.engine = blk::engine_kind::threads, .serial = ext4_disk})));
  }

  void hear(const std::string& line) {
    constexpr std::string_view told = "blk-suite: safe ";
    if (line.starts_with(told))
      safe_ = std::stoi(line.substr(told.size()));
    else
      check(false, line);
  }

  milliseconds a_while() { return milliseconds{dice_() % 400}; }

  void check(bool good, const std::string& what) {
    std::printf("host: %s %s\n", good ? "ok" : "FAIL", what.c_str());
    failures_ += good ? 0 : 1;
  }

  /// Of the blocks that were written and not flushed, any may have reached the medium.
  std::string remains() {
    const std::lock_guard held{medium_->mutex};
    auto image = medium_->safe;
    auto lost = false;
    for (std::size_t at = 0; at < image.size(); at += block) {
      const std::string_view written{medium_->cached.data() + at, block};
      if (written == std::string_view{image.data() + at, block})
        continue;
      if (dice_() % 2 == 0)
        image.replace(at, block, written);
      else
        lost = true;
    }
    differed_ += lost ? 1 : 0;
    return image;
  }

  void cut() {
    const auto promised = safe_;
    const auto path = folder_.file("image");
    std::ofstream{path, std::ios::binary} << remains();
    const auto mended = run("/sbin/e2fsck -fp " + path); // replays the journal, mends nothing else
    check(mended == 0 || mended == 1, "fsck after a cut: " + std::to_string(mended));
    check(run("/sbin/e2fsck -fn " + path) == 0, "it is sound then");
    const auto files = folder_.file("files");
    std::filesystem::remove_all(files);
    std::filesystem::create_directory(files);
    run("/sbin/debugfs -R 'rdump / " + files + "' " + path);
    int missing = 0;
    for (int i = 0; i <= promised; ++i)
      missing += read_file(files + "/" + std::to_string(i)) == power_text(i) ? 0 : 1;
    check(missing == 0, std::to_string(missing) + " of " + std::to_string(promised + 1) +
                            " safe files are missing");
  }

  troupe::test::scratch_folder folder_;
  std::shared_ptr<recording_file::medium> medium_ =
      std::make_shared<recording_file::medium>(disk_bytes);
  std::minstd_rand dice_{20'240};
  int safe_ = -1;
  int differed_ = 0;
  int failures_ = 0;
};

} // namespace

int main() {
  return exit_code_of([] {
    need_guests({"/sbin/mkfs.ext4", "/sbin/debugfs"});
    return power_test{}.cut_many() == 0;
  });
}
