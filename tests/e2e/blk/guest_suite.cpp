// The guest's side of the block suite: pid 1 of a small machine, which uses its disks and its
// entropy as programs do and says on the console what was not as it should be. Knows nothing of
// the transport. What to do comes by the kernel's command line: blk_suite=disks,terminal,power.
#include "tests/e2e/blk/disks.hpp"
#include "tests/support/guest_report.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>

using namespace troupe::testing;

namespace {

constexpr std::size_t block = 512;
constexpr int writers = 4;
constexpr std::size_t stretch = 4U << 20; // of each writer
constexpr std::size_t transfer_max = 256U << 10;
constexpr int rounds = 80;

guest_report suite{"blk-suite"};

void expect(bool holds, const std::string& what) {
  if (!holds)
    throw std::runtime_error{what + " (errno " + std::to_string(errno) + ")"};
}

std::string first_line(const std::string& path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  return line;
}

/// The name in /sys/block of the disk with this serial.
std::string disk_named(const std::string& serial) {
  auto* const dir = ::opendir("/sys/block");
  std::string found;
  while (const auto* entry = dir != nullptr ? ::readdir(dir) : nullptr)
    if (first_line("/sys/block/" + std::string{entry->d_name} + "/serial") == serial)
      found = entry->d_name;
  if (dir != nullptr)
    ::closedir(dir);
  expect(!found.empty(), "no disk says it is " + serial);
  return found;
}

std::string attribute(const std::string& serial, const std::string& name) {
  return first_line("/sys/block/" + disk_named(serial) + "/" + name);
}

int open_disk(const std::string& serial, int flags) {
  const int fd = ::open(("/dev/" + disk_named(serial)).c_str(), flags | O_CLOEXEC);
  expect(fd >= 0, "open " + serial);
  return fd;
}

struct aligned {
  explicit aligned(std::size_t size) : bytes(static_cast<char*>(std::aligned_alloc(4096, size))) {}
  ~aligned() { std::free(bytes); }
  aligned(const aligned&) = delete;
  aligned& operator=(const aligned&) = delete;
  char* bytes;
};

void describe() {
  expect(attribute(raw_disk, "size") == std::to_string(raw_bytes / block), "size");
  expect(attribute(raw_disk, "queue/logical_block_size") == "512", "logical block size");
  expect(attribute(raw_disk, "queue/physical_block_size") == "4096", "physical block size");
  expect(attribute(raw_disk, "queue/max_segments") == "126", "segments");
  expect(attribute(raw_disk, "queue/write_cache") == "write back", "cache");
  expect(attribute(raw_disk, "ro") == "0", "writable");
  expect(attribute(raw_disk, "queue/discard_max_bytes") != "0", "discards");
  expect(attribute(raw_disk, "queue/write_zeroes_max_bytes") != "0", "zeros");
  // Linux uses no more queues than it has processors.
  const bool two = ::access(("/sys/block/" + disk_named(raw_disk) + "/mq/1").c_str(), F_OK) == 0;
  expect(two == (::sysconf(_SC_NPROCESSORS_CONF) > 1), "two queues");
}

/// Writes and reads a stretch of its own at random, comparing with what it knows.
void scribble(int number) {
  const int fd = open_disk(raw_disk, O_RDWR | O_DIRECT);
  const aligned buffer{transfer_max};
  std::string model(stretch, 'i');
  std::minstd_rand dice{static_cast<unsigned>(number + 1)};
  const auto base = static_cast<std::size_t>(number) * stretch;
  for (int i = 0; i < rounds; ++i) {
    const auto size = block * (1 + dice() % (transfer_max / block));
    const auto at = block * (dice() % ((stretch - size) / block + 1));
    if (dice() % 2 == 0) {
      for (std::size_t k = 0; k < size; ++k)
        buffer.bytes[k] = static_cast<char>(dice() >> 8U);
      model.replace(at, size, buffer.bytes, size);
      expect(::pwrite(fd, buffer.bytes, size, static_cast<off_t>(base + at)) ==
                 static_cast<ssize_t>(size),
             "write");
    }
    expect(::pread(fd, buffer.bytes, size, static_cast<off_t>(base + at)) ==
               static_cast<ssize_t>(size),
           "read");
    expect(std::memcmp(buffer.bytes, model.data() + at, size) == 0,
           "round " + std::to_string(i) + ": other bytes than were written");
    if (i % 20 == 0)
      expect(::fdatasync(fd) == 0, "flush");
    if (i % 20 == 10)
      suite.say("traffic");
  }
  ::close(fd);
}

void traffic() {
  for (int i = 0; i < writers; ++i)
    if (::fork() == 0) {
      try {
        scribble(i);
        ::_exit(0);
      } catch (const std::exception& failed) {
        suite.say("writer " + std::to_string(i) + ": " + failed.what());
        ::_exit(1);
      }
    }
  for (int i = 0; i < writers; ++i) {
    int status = 0;
    ::wait(&status);
    expect(status == 0, "a writer failed");
  }
}

/// Buffers of the guest at addresses that its kernel would never choose.
void pages() {
  const int fd = open_disk(raw_disk, O_RDWR);
  std::string text(100'001, 'p');
  expect(::pwrite(fd, text.data(), text.size(), 17U << 20) == static_cast<ssize_t>(text.size()),
         "write by the page cache");
  expect(::fsync(fd) == 0, "fsync");
  ::close(fd);
  std::ofstream{"/proc/sys/vm/drop_caches"} << 3;
  const int again = open_disk(raw_disk, O_RDONLY);
  std::string got(text.size(), '-');
  expect(::pread(again, got.data(), got.size(), 17U << 20) == static_cast<ssize_t>(got.size()),
         "read by the page cache");
  expect(got == text, "other bytes than were written");
  ::close(again);
}

bool zeros(int fd, std::size_t at) {
  const aligned buffer{range_bytes};
  expect(::pread(fd, buffer.bytes, range_bytes, static_cast<off_t>(at)) ==
             static_cast<ssize_t>(range_bytes),
         "read");
  return std::all_of(buffer.bytes, buffer.bytes + range_bytes, [](char c) { return c == 0; });
}

void ranges() {
  const int fd = open_disk(raw_disk, O_RDWR | O_DIRECT);
  expect(!zeros(fd, discard_at) && !zeros(fd, zero_at), "the host had put bytes there");
  std::array<std::uint64_t, 2> range{discard_at, range_bytes};
  expect(::ioctl(fd, BLKDISCARD, range.data()) == 0, "discard");
  range[0] = zero_at;
  expect(::ioctl(fd, BLKZEROOUT, range.data()) == 0, "write zeroes");
  expect(zeros(fd, discard_at), "a discarded hole reads as zeros");
  expect(zeros(fd, zero_at), "zeros are zeros");
  expect(!zeros(fd, zero_at + range_bytes), "and nothing behind them");
  ::close(fd);
}

void modes() {
  const auto file = "/sys/block/" + disk_named(raw_disk) + "/cache_type";
  expect(first_line(file) == "write back", "mode");
  std::ofstream{file} << "write through";
  expect(first_line(file) == "write through", "the mode was taken");
  const int fd = open_disk(raw_disk, O_WRONLY | O_DIRECT);
  const aligned buffer{block};
  std::fill_n(buffer.bytes, block, 't');
  expect(::pwrite(fd, buffer.bytes, block, 20U << 20) == static_cast<ssize_t>(block), "write");
  ::close(fd);
  std::ofstream{file} << "write back";
}

void fixed() {
  expect(attribute(fixed_disk, "ro") == "1", "read-only");
  const int fd = ::open(("/dev/" + disk_named(fixed_disk)).c_str(), O_RDWR | O_CLOEXEC);
  if (fd >= 0)
    expect(::write(fd, "x", 1) < 0, "a write is refused");
  ::close(fd);
  const int reader = open_disk(fixed_disk, O_RDONLY);
  std::string got(fixed_bytes, '-');
  expect(::read(reader, got.data(), got.size()) == static_cast<ssize_t>(got.size()), "read");
  expect(got == std::string(fixed_bytes, '!'), "the host's bytes");
  ::close(reader);
}

void ext4() {
  ::mkdir("/mnt", 0755);
  const auto device = "/dev/" + disk_named(ext4_disk);
  expect(::mount(device.c_str(), "/mnt", "ext4", 0, "discard") == 0, "mount");
  const std::string text(1 << 20, 'e');
  for (int i = 0; i < 16; ++i) {
    std::ofstream file{"/mnt/file-" + std::to_string(i)};
    file << text;
    expect(file.good(), "write a file");
  }
  ::sync();
  for (int i = 0; i < 8; ++i)
    expect(::unlink(("/mnt/file-" + std::to_string(i)).c_str()) == 0, "unlink");
  const int root = ::open("/mnt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  fstrim_range all{0, ~0ULL, 0};
  expect(::ioctl(root, FITRIM, &all) == 0, "trim");
  ::close(root);
  expect(::umount("/mnt") == 0, "umount");
}

void entropy() {
  expect(first_line("/sys/class/misc/hw_random/rng_current").starts_with("virtio_rng"), "driver");
  const int fd = ::open("/dev/hwrng", O_RDONLY | O_CLOEXEC);
  expect(fd >= 0, "open /dev/hwrng");
  std::array<char, 512> one{};
  std::array<char, 512> two{};
  const auto fill = [fd](std::array<char, 512>& it) {
    for (std::size_t got = 0; got < it.size();) {
      const auto some = ::read(fd, it.data() + got, it.size() - got);
      expect(some > 0, "read /dev/hwrng");
      got += static_cast<std::size_t>(some);
    }
  };
  fill(one);
  fill(two);
  expect(one != two, "twice the same");
  expect(std::count(one.begin(), one.end(), '\0') < 32, "zeros");
  ::close(fd);
}

/// Says of files that they are safe, and from then on they must be. Until it is ended.
void power() {
  ::mkdir("/mnt", 0755);
  expect(::mount(("/dev/" + disk_named(ext4_disk)).c_str(), "/mnt", "ext4", 0, nullptr) == 0,
         "mount");
  const int root = ::open("/mnt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0;; ++i) {
    const auto name = "/mnt/" + std::to_string(i);
    const int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const auto text = power_text(i);
    expect(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()), "write");
    expect(::fsync(fd) == 0 && ::fsync(root) == 0, "fsync");
    ::close(fd);
    suite.say("safe " + std::to_string(i));
  }
}

/// Both directions of hvc0, more than its buffers hold, as bytes are.
void terminal() {
  const int fd = ::open("/dev/hvc0", O_RDWR | O_NOCTTY | O_CLOEXEC);
  expect(fd >= 0, "open /dev/hvc0");
  termios how{};
  expect(::tcgetattr(fd, &how) == 0, "attributes");
  ::cfmakeraw(&how);
  expect(::tcsetattr(fd, TCSANOW, &how) == 0, "raw");
  suite.say("type");
  std::string got;
  const auto typed = terminal_text('h');
  std::array<char, 1024> some{};
  while (got.size() < typed.size()) {
    const auto count = ::read(fd, some.data(), some.size());
    expect(count > 0, "read");
    got.append(some.data(), static_cast<std::size_t>(count));
  }
  expect(got == typed, "other bytes than were typed");
  const auto text = terminal_text('g');
  for (std::size_t done = 0; done < text.size();) {
    const auto count = ::write(fd, text.data() + done, text.size() - done);
    expect(count > 0, "write");
    done += static_cast<std::size_t>(count);
  }
  expect(::tcdrain(fd) == 0, "drain");
  ::close(fd);
}

void say_digest() {
  const int fd = open_disk(raw_disk, O_RDONLY | O_DIRECT);
  const aligned buffer{transfer_max};
  auto sum = digest_start;
  for (std::size_t at = 0; at < raw_bytes; at += transfer_max) {
    expect(::pread(fd, buffer.bytes, transfer_max, static_cast<off_t>(at)) ==
               static_cast<ssize_t>(transfer_max),
           "read");
    sum = digest(sum, buffer.bytes, transfer_max);
  }
  ::close(fd);
  suite.say("digest " + std::to_string(sum));
}

void disks() {
  suite.run_case("describe", describe);
  suite.run_case("traffic", traffic);
  suite.run_case("pages", pages);
  suite.run_case("modes", modes);
  suite.run_case("ranges", ranges);
  suite.run_case("fixed", fixed);
  suite.run_case("ext4", ext4);
  suite.run_case("entropy", entropy);
  suite.run_case("digest", say_digest);
}

} // namespace

int main() {
  for (const char* const folder : {"/proc", "/sys", "/dev"})
    ::mkdir(folder, 0755);
  ::mount("proc", "/proc", "proc", 0, nullptr);
  ::mount("sysfs", "/sys", "sysfs", 0, nullptr);
  ::mount("devtmpfs", "/dev", "devtmpfs", 0, nullptr);
  const char* const asked = std::getenv("blk_suite");
  const std::string suites = asked ? asked : "disks";
  if (suites.find("disks") != suites.npos)
    disks();
  if (suites.find("terminal") != suites.npos)
    suite.run_case("terminal", terminal);
  if (suites.find("power") != suites.npos)
    suite.run_case("power", power);
  suite.finish();
}
