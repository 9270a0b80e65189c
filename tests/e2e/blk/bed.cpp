#include "tests/e2e/blk/bed.hpp"

#include "actors/devices/virtio/blk/device.hpp"
#include "actors/devices/virtio/blk/host_file.hpp"
#include "actors/devices/virtio/rng/device.hpp"
#include "tests/e2e/blk/disks.hpp"
#include "tests/support/must.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace troupe::testing {
namespace {

/// Counts what a guest asks of a file.
class counted_file final : public blk::block_file {
public:
  counted_file(std::unique_ptr<blk::block_file> of, std::shared_ptr<bed::counts> to)
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
  std::shared_ptr<bed::counts> counts_;
};

std::unique_ptr<virtio::device> device_of(std::unique_ptr<blk::block_file> file,
                                          blk::engine_kind engine, const char* serial) {
  return std::make_unique<blk::device>(
      must(blk::disk::make(std::move(file), {.engine = engine, .serial = serial})));
}

} // namespace

bed::bed() {
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

bed::~bed() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::vector<std::unique_ptr<virtio::device>> bed::devices() {
  raw_ = must(blk::disk::make(open(raw_disk, O_RDWR), {.serial = raw_disk, .queues = 2}));
  must(raw_->open()); // else it only tells what is asked for
  std::printf("host: the raw disk runs on %s\n", std::string{raw_->engine_name()}.c_str());
  std::vector<std::unique_ptr<virtio::device>> all;
  all.push_back(new_raw_device());
  all.push_back(device_of(open(fixed_disk, O_RDONLY), blk::engine_kind::io_uring, fixed_disk));
  all.push_back(device_of(std::make_unique<counted_file>(open(ext4_disk, O_RDWR), counts_),
                          blk::engine_kind::threads, ext4_disk));
  all.push_back(std::make_unique<rng::device>());
  return all;
}

std::unique_ptr<virtio::device> bed::new_raw_device() const {
  return std::make_unique<blk::device>(raw_);
}

void bed::heard(const std::string& line, const std::function<void()>& replace) {
  std::printf("%s\n", line.c_str());
  if (line == "blk-suite: traffic") {
    replace();
    ++replaced_;
  }
  constexpr std::string_view told = "blk-suite: digest ";
  if (line.starts_with(told))
    digest_ = line.substr(told.size());
  done_ = done_ || line == "blk-suite: done 0";
}

void bed::expect(bool holds, const char* what) {
  failures_ += holds ? 0 : 1;
  std::printf("host: %s %s\n", holds ? "ok" : "FAIL", what);
}

bool bed::judge() {
  expect(done_, "the guest has no complaint");
  expect(replaced_ == 16, "there was new logic sixteen times");
  const auto raw = bytes_of(raw_disk);
  expect(std::to_string(digest(digest_start, raw.data(), raw.size())) == digest_,
         "both sides see the same bytes on the raw disk");
  expect(is_hole(raw_disk, discard_at), "discarded bytes are a hole");
  expect(raw.substr(zero_at, range_bytes) == std::string(range_bytes, '\0'), "zeros are zeros");
  expect(bytes_of(fixed_disk) == std::string(fixed_bytes, '!'), "the read-only disk is as before");
  const auto check = "/sbin/e2fsck -fn " + path(ext4_disk) + " >/dev/null 2>&1";
  expect(std::system(check.c_str()) == 0, "the guest's ext4 is sound");
  expect(counts_->flushes > 0 && counts_->discards > 0, "it was flushed and trimmed");
  return failures_ == 0;
}

std::string bed::path(const std::string& name) const {
  return (folder_ / name).string();
}

void bed::make_image(const char* name, std::size_t size, char fill) const {
  const unique_fd file{::open(path(name).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
  const std::string bytes(size, fill);
  if (::write(file.get(), bytes.data(), size) != static_cast<ssize_t>(size))
    throw std::runtime_error("make an image");
}

std::unique_ptr<blk::block_file> bed::open(const char* name, int flags) const {
  return must(
      blk::host_file::adopt(unique_fd{::open(path(name).c_str(), flags | O_CLOEXEC)}, false));
}

std::string bed::bytes_of(const char* name) const {
  std::string bytes(std::filesystem::file_size(path(name)), '-');
  const unique_fd file{::open(path(name).c_str(), O_RDONLY | O_CLOEXEC)};
  return ::read(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size())
             ? bytes
             : "";
}

bool bed::is_hole(const char* name, std::size_t at) const {
  const unique_fd file{::open(path(name).c_str(), O_RDONLY | O_CLOEXEC)};
  return ::lseek(file.get(), static_cast<off_t>(at), SEEK_HOLE) == static_cast<off_t>(at) &&
         ::lseek(file.get(), static_cast<off_t>(at), SEEK_DATA) >=
             static_cast<off_t>(at + range_bytes);
}

} // namespace troupe::testing
