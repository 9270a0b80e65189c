// Block and entropy devices with a Linux guest under QEMU, ours behind vhost-user.
#include "actors/devices/unix_socket.hpp"
#include "actors/devices/vhost_user/session.hpp"
#include "actors/devices/virtio/blk/device.hpp"
#include "actors/devices/virtio/blk/host_file.hpp"
#include "actors/devices/virtio/rng/device.hpp"
#include "messages/vocabulary/log.hpp"
#include "tests/e2e/blk/disks.hpp"
#include "tests/e2e/blk/qemu_guest.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <stdexcept>

using namespace troupe;
using namespace troupe::testing;
using namespace std::chrono_literals;

namespace {

constexpr int skipped = 77;

template <class T>
T must(outcome<T> value) {
  if (!value)
    throw std::runtime_error(value.error().to_string());
  if constexpr (!std::is_void_v<T>)
    return *std::move(value);
}

int failures = 0;

void expect(bool holds, const char* what) {
  failures += holds ? 0 : 1;
  std::printf("host: %s %s\n", holds ? "ok" : "FAIL", what);
}

/// Counts what a guest asks of a file.
class counted_file final : public blk::block_file {
public:
  struct counts {
    std::atomic<int> flushes = 0;
    std::atomic<int> discards = 0;
  };

  counted_file(std::unique_ptr<blk::block_file> of, std::shared_ptr<counts> to)
      : file_(std::move(of)), counts_(std::move(to)) {}

  const blk::geometry& shape() const noexcept override { return file_->shape(); }
  blk::io_error read(byte_count at, std::span<const iovec> into) noexcept override {
    return file_->read(at, into);
  }
  blk::io_error write(byte_count at, std::span<const iovec> from, bool durable) noexcept override {
    return file_->write(at, from, durable);
  }
  blk::io_error flush() noexcept override {
    ++counts_->flushes;
    return file_->flush();
  }
  blk::io_error discard(byte_count at, byte_count length) noexcept override {
    ++counts_->discards;
    return file_->discard(at, length);
  }
  blk::io_error zero(byte_count at, byte_count length, bool unmap) noexcept override {
    return file_->zero(at, length, unmap);
  }
  int direct(std::span<const iovec>) const noexcept override { return -1; }

private:
  std::unique_ptr<blk::block_file> file_;
  std::shared_ptr<counts> counts_;
};

class bed {
public:
  bed() {
    auto name = (std::filesystem::temp_directory_path() / "troupe-blk-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error("make a scratch folder");
    folder_ = name;
    make_image(raw_disk, raw_bytes, 'i');
    make_image(fixed_disk, fixed_bytes, '!');
    make_image(ext4_disk, ext4_bytes, '\0');
    if (std::system(("/sbin/mkfs.ext4 -q -F " + path(ext4_disk)).c_str()) != 0)
      throw std::runtime_error("mkfs.ext4");
  }
  bed(const bed&) = delete;
  bed& operator=(const bed&) = delete;
  ~bed() {
    sessions_.clear();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void serve() {
    raw_ = must(blk::disk::make(open(raw_disk, O_RDWR), {.serial = raw_disk, .queues = 2}));
    std::printf("host: the raw disk runs on %s\n", std::string{raw_->engine_name()}.c_str());
    add("vhost-user-blk-pci,num-queues=2", new_raw_device());
    add("vhost-user-blk-pci,num-queues=1",
        device_of(open(fixed_disk, O_RDONLY), blk::engine_kind::io_uring, fixed_disk));
    add("vhost-user-blk-pci,num-queues=1",
        device_of(std::make_unique<counted_file>(open(ext4_disk, O_RDWR), counts_),
                  blk::engine_kind::threads, ext4_disk));
    add("vhost-user-rng-pci", std::make_unique<rng::device>());
  }

  [[nodiscard]] const std::vector<qemu_device>& devices() const { return devices_; }

  void heard(const std::string& line) {
    std::printf("%s\n", line.c_str());
    if (line == "blk-suite: traffic") {
      must(sessions_.front()->replace_device(new_raw_device(), 5s));
      ++replaced_;
    }
    constexpr std::string_view told = "blk-suite: digest ";
    if (line.starts_with(told))
      digest_ = line.substr(told.size());
    done_ = done_ || line == "blk-suite: done 0";
  }

  void judge() {
    expect(done_, "the guest has no complaint");
    expect(replaced_ == 16, "there was new logic sixteen times");
    for (auto& it : sessions_)
      expect(it->stop(5s).has_value(), "a device stops");
    const auto raw = bytes_of(raw_disk);
    expect(std::to_string(digest(digest_start, raw.data(), raw.size())) == digest_,
           "both sides see the same bytes on the raw disk");
    expect(is_hole(raw_disk, discard_at), "discarded bytes are a hole");
    expect(raw.substr(zero_at, range_bytes) == std::string(range_bytes, '\0'), "zeros are zeros");
    expect(bytes_of(fixed_disk) == std::string(fixed_bytes, '!'),
           "the read-only disk is as before");
    const auto check = "/sbin/e2fsck -fn " + path(ext4_disk) + " >/dev/null 2>&1";
    expect(std::system(check.c_str()) == 0, "the guest's ext4 is sound");
    expect(counts_->flushes > 0 && counts_->discards > 0, "it was flushed and trimmed");
  }

private:
  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_ / name).string();
  }
  void make_image(const char* name, std::size_t size, char fill) const {
    const unique_fd file{::open(path(name).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
    const std::string bytes(size, fill);
    if (::write(file.get(), bytes.data(), size) != static_cast<ssize_t>(size))
      throw std::runtime_error("make an image");
  }
  [[nodiscard]] std::unique_ptr<blk::host_file> open(const char* name, int flags) const {
    return must(
        blk::host_file::adopt(unique_fd{::open(path(name).c_str(), flags | O_CLOEXEC)}, false));
  }
  [[nodiscard]] std::string bytes_of(const char* name) const {
    std::string bytes(std::filesystem::file_size(path(name)), '-');
    const unique_fd file{::open(path(name).c_str(), O_RDONLY | O_CLOEXEC)};
    return ::read(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size())
               ? bytes
               : "";
  }
  [[nodiscard]] bool is_hole(const char* name, std::size_t at) const {
    const unique_fd file{::open(path(name).c_str(), O_RDONLY | O_CLOEXEC)};
    return ::lseek(file.get(), static_cast<off_t>(at), SEEK_HOLE) == static_cast<off_t>(at) &&
           ::lseek(file.get(), static_cast<off_t>(at), SEEK_DATA) >=
               static_cast<off_t>(at + range_bytes);
  }

  [[nodiscard]] std::unique_ptr<virtio::device> new_raw_device() const {
    return std::make_unique<blk::device>(raw_);
  }
  static std::unique_ptr<virtio::device> device_of(std::unique_ptr<blk::block_file> file,
                                                   blk::engine_kind engine, const char* serial) {
    return std::make_unique<blk::device>(
        must(blk::disk::make(std::move(file), {.engine = engine, .serial = serial})));
  }
  void add(const std::string& words, std::unique_ptr<virtio::device> device) {
    const auto socket = path("socket-" + std::to_string(devices_.size()));
    sessions_.push_back(must(vhost_user::session::start(
        must(devices::listen_unix(socket, 1)), std::move(device), *loop_,
        [](vhost_user::session_event, const std::optional<failure>& why) {
          if (why)
            std::printf("host: device: %s\n", why->to_string().c_str());
        })));
    devices_.push_back({words, socket});
  }

  std::filesystem::path folder_;
  std::shared_ptr<counted_file::counts> counts_ = std::make_shared<counted_file::counts>();
  std::unique_ptr<devices::worker> loop_ = must(devices::worker::start("blk-test"));
  std::shared_ptr<blk::disk> raw_;
  std::vector<std::unique_ptr<vhost_user::session>> sessions_;
  std::vector<qemu_device> devices_;
  std::string digest_;
  int replaced_ = 0;
  bool done_ = false;
};

} // namespace

int main() {
  const char* const asked = std::getenv("TROUPE_TEST_KERNEL");
  const std::string kernel = asked ? asked : TROUPE_KERNEL;
  for (const auto& need : {kernel, std::string{"/sbin/mkfs.ext4"}})
    if (::access(need.c_str(), R_OK) != 0) {
      std::printf("skipped: needs %s\n", need.c_str());
      return skipped;
    }
  std::setvbuf(stdout, nullptr, _IOLBF, 0); // what was said before a hang is seen
  log::set_sink([](const log::record& what) {
    std::printf("log: %.*s: %.*s\n", static_cast<int>(what.who.size()), what.who.data(),
                static_cast<int>(what.text.size()), what.text.data());
  });
  try {
    bed suite;
    suite.serve();
    must(run_guest({kernel, TROUPE_BLK_INITRD, suite.devices()}, 200s,
                   [&](const std::string& line) { suite.heard(line); }));
    suite.judge();
  } catch (const std::exception& broken) {
    std::printf("host: FAIL %s\n", broken.what());
    return 1;
  }
  return failures == 0 ? 0 : 1;
}
