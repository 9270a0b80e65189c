// The host's side of a disk: raw files and the two engines over them, on a real file system.
#include "actors/devices/virtio/blk/host_file.hpp"
#include "messages/vocabulary/log.hpp"
#include "tests/support/blk_bench.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

using namespace troupe;
using namespace troupe::testing;
using blk::wire::status;
using blk::wire::type;

namespace {

constexpr byte_count size = mib(1);

// A raw image of 'i's in a folder of its own.
struct image {
  image() {
    const auto fd = open(O_RDWR | O_CREAT);
    const std::string bytes(size, 'i');
    REQUIRE(::pwrite(fd.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(size));
    REQUIRE(::fsync(fd.get()) == 0);
  }

  unique_fd open(int flags) const {
    return unique_fd{::open(folder.file("disk").c_str(), flags | O_CLOEXEC, 0600)};
  }
  std::string text(std::size_t at, std::size_t count) const {
    std::string bytes(count, '\0');
    const auto fd = open(O_RDONLY);
    REQUIRE(::pread(fd.get(), bytes.data(), count, static_cast<off_t>(at)) ==
            static_cast<ssize_t>(count));
    return bytes;
  }
  // Whether [at, at + count) is a hole for the file system.
  bool hole(std::size_t at, std::size_t count) const {
    const auto fd = open(O_RDONLY);
    const auto begin = ::lseek(fd.get(), static_cast<off_t>(at), SEEK_HOLE);
    const auto end = ::lseek(fd.get(), static_cast<off_t>(at), SEEK_DATA);
    return begin == static_cast<off_t>(at) && end >= static_cast<off_t>(at + count);
  }
  std::unique_ptr<blk::host_file> adopt(int flags, bool read_only = false) const {
    return blk::host_file::adopt(open(flags), read_only).value();
  }

  test::scratch_folder folder;
};

// Bytes at an address of our choice within their page.
struct placed {
  placed(std::size_t count, std::size_t off, char fill)
      : memory(static_cast<char*>(std::aligned_alloc(4096, (count + off + 4095) / 4096 * 4096))),
        part{memory + off, count} {
    std::fill_n(memory + off, count, fill);
  }
  ~placed() { std::free(memory); }
  placed(const placed&) = delete;
  placed& operator=(const placed&) = delete;
  std::string text() const { return {static_cast<char*>(part.iov_base), part.iov_len}; }
  char* memory;
  iovec part;
};

std::shared_ptr<blk::disk> disk_of(const image& it, blk::engine_kind engine, int flags = O_RDWR) {
  return blk::disk::make(it.adopt(flags), {.engine = engine, .threads = 2}).value();
}

// Writes and reads everywhere, many at a time, and compares with what a plain buffer holds.
void mixed_traffic(blk_bench& b, const image& file) {
  std::string model(size, 'i');
  std::minstd_rand dice{7};
  for (int round = 0; round < 40; ++round) {
    for (std::uint16_t head = 0; head < blk_bench::ring_size; head += 4) {
      // Each cell has a stretch of its own, so that order does not matter.
      const auto sector = std::uint64_t{head} * 16 + dice() % 8;
      const auto bytes = static_cast<std::uint32_t>(512 * (1 + dice() % 8));
      if (dice() % 2 == 0) {
        const std::string text(bytes, static_cast<char>('a' + dice() % 26));
        model.replace(sector * 512, bytes, text);
        b.write(head, sector, text);
      } else {
        b.read(head, sector, bytes);
      }
    }
    REQUIRE(b.kick());
    for (int i = 0; i < blk_bench::ring_size / 4; ++i) {
      const auto used = b.answered();
      REQUIRE(used);
      const auto head = static_cast<std::uint16_t>(used->head);
      REQUIRE(b.ram.get<std::uint8_t>(b.at(head).status) == 0);
      if (used->written == 1)
        continue;
      const auto sector = b.ram.get<blk::wire::header>(b.at(head).header).sector;
      const auto bytes = used->written - 1;
      REQUIRE(b.ram.text(b.at(head).data, bytes) == model.substr(sector * 512, bytes));
    }
  }
  CHECK(file.text(0, size) == model);
}

// What the disk said to the log.
struct heard {
  heard() {
    log::set_sink([this](const log::record& what) { text += what.text; });
  }
  ~heard() { log::set_sink({}); }
  std::string text;
};

// While it lives, the process gets no further descriptor.
struct no_descriptors {
  no_descriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const unique_fd lowest{::dup(0)};
    const rlimit now{static_cast<rlim_t>(lowest.get()), before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &now) == 0);
  }
  ~no_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before); }
  no_descriptors(const no_descriptors&) = delete;
  no_descriptors& operator=(const no_descriptors&) = delete;
  rlimit before{};
};

std::size_t entries_of(const char* folder) {
  const std::filesystem::directory_iterator all{folder};
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// As container runtimes do.
void refuse_io_uring() {
  std::array<sock_filter, 4> rules{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{rules.size(), rules.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    ::_exit(2);
}

} // namespace

TEST_CASE("blk file: opened by its path, for one that writes or for all that read") {
  const image disk;
  const auto path = disk.folder.file("disk");
  {
    const auto one = blk::host_file::open(path, false);
    REQUIRE(one);
    CHECK_FALSE((*one)->shape().read_only);
    for (const bool read_only : {false, true})
      CHECK(blk::host_file::open(path, read_only).error().code == errc::failed_precondition);
  }
  const auto one = blk::host_file::open(path, true);
  const auto two = blk::host_file::open(path, true);
  REQUIRE(one);
  REQUIRE(two);
  CHECK((*one)->shape().read_only);
  CHECK(blk::host_file::open(path, false).error().text == "disk: " + path + " is in use");
}

TEST_CASE("blk file: what is no disk is refused by its name, at once") {
  const image disk;
  const auto fifo = disk.folder.file("fifo");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(blk::host_file::open(fifo, true).error().code == errc::invalid_argument);
  CHECK(blk::host_file::open(disk.folder.path(), true).error().code == errc::invalid_argument);
  CHECK(blk::host_file::open(fifo + "x", false).error().text ==
        "disk: " + fifo + "x does not exist");
}

TEST_CASE("blk file: what is no disk, is refused") {
  const image it;
  CHECK(blk::host_file::adopt(unique_fd{::open("/dev/null", O_RDWR | O_CLOEXEC)}, false)
            .error()
            .code == errc::invalid_argument);
  CHECK(blk::host_file::adopt(unique_fd{::open(it.folder.path().c_str(), O_RDONLY | O_DIRECTORY)},
                              false)
            .error()
            .code == errc::invalid_argument);
  REQUIRE(::truncate(it.folder.file("disk").c_str(), 511) == 0);
  CHECK_THAT(blk::host_file::adopt(it.open(O_RDWR), false).error().text,
             Catch::Contains("smaller than a block"));
  CHECK(blk::host_file::adopt(unique_fd{}, false).error().code == errc::host_io);
}

TEST_CASE("blk file: a size that is not whole sectors, is rounded down") {
  const image it;
  REQUIRE(::truncate(it.folder.file("disk").c_str(), 512 * 3 + 511) == 0);
  CHECK(it.adopt(O_RDWR)->shape().size == 512 * 3);
}

TEST_CASE("blk file: a descriptor that cannot write, makes a read-only disk") {
  const image it;
  CHECK(it.adopt(O_RDONLY)->shape().read_only);
  CHECK(it.adopt(O_RDWR, true)->shape().read_only);
  CHECK_FALSE(it.adopt(O_RDWR)->shape().read_only);
  CHECK_FALSE(it.adopt(O_RDONLY)->shape().discards);
}

TEST_CASE("blk file: many buffers, are moved whole and in order") {
  const image it;
  const auto file = it.adopt(O_RDWR);
  std::vector<std::string> texts;
  std::vector<iovec> parts;
  for (int i = 0; i < 200; ++i) // more than one system call takes
    texts.emplace_back(static_cast<std::size_t>(512), static_cast<char>('A' + i % 50));
  std::string whole;
  for (auto& text : texts) {
    parts.push_back({text.data(), text.size()});
    whole += text;
  }
  CHECK(file->write(1024, parts, false) == 0);
  CHECK(it.text(1024, whole.size()) == whole);
  CHECK(it.text(512, 512) == std::string(512, 'i'));
  for (auto& text : texts)
    std::fill(text.begin(), text.end(), '-');
  CHECK(file->read(1024, parts) == 0);
  std::string got;
  for (const auto& text : texts)
    got += text;
  CHECK(got == whole);
}

TEST_CASE("blk file: a file that was cut behind our back, is an I/O error") {
  const image it;
  const auto file = it.adopt(O_RDWR);
  REQUIRE(::truncate(it.folder.file("disk").c_str(), 4096) == 0);
  const placed some{1024, 0, '-'};
  CHECK(file->read(4096 - 512, {&some.part, 1}) == EIO);
}

TEST_CASE("blk file: discarded and unmapped bytes, are holes that read as zeros") {
  const image it;
  const auto file = it.adopt(O_RDWR);
  REQUIRE(file->discard(kib(64), kib(64)) == 0);
  REQUIRE(file->zero(kib(256), kib(64), true) == 0);
  REQUIRE(file->zero(kib(512), kib(64), false) == 0);
  CHECK(it.hole(kib(64), kib(64)));
  CHECK(it.hole(kib(256), kib(64)));
  const std::string zeros(kib(64), '\0');
  CHECK(it.text(kib(64), kib(64)) == zeros);
  CHECK(it.text(kib(256), kib(64)) == zeros);
  CHECK(it.text(kib(512), kib(64)) == zeros);
  CHECK(it.text(kib(128), 512) == std::string(512, 'i'));
  CHECK(it.text(kib(576), 512) == std::string(512, 'i'));
}

TEST_CASE("blk file: zeros where the file system has no call for them, are written") {
  // tmpfs refuses FALLOC_FL_ZERO_RANGE; a memfd is one.
  unique_fd memory{::memfd_create("disk", MFD_CLOEXEC)};
  const std::string bytes(size, 'i');
  REQUIRE(::pwrite(memory.get(), bytes.data(), size, 0) == static_cast<ssize_t>(size));
  const unique_fd look{::dup(memory.get())};
  const auto file = blk::host_file::adopt(std::move(memory), false).value();
  CHECK(file->zero(512, kib(300), false) == 0);
  std::string got(kib(301), '-');
  REQUIRE(::pread(look.get(), got.data(), got.size(), 0) == static_cast<ssize_t>(got.size()));
  CHECK(got == std::string(512, 'i') + std::string(kib(300), '\0') + std::string(512, 'i'));
}

TEST_CASE("blk file: with O_DIRECT, buffers at odd addresses go through aligned ones") {
  const image it;
  auto fd = it.open(O_RDWR | O_DIRECT);
  if (!fd) {
    WARN("not checked: this file system has no O_DIRECT");
    return;
  }
  const auto file = blk::host_file::adopt(std::move(fd), false).value();
  const auto block = file->shape().block_size;
  const auto bytes = kib(512) + block; // more than one piece
  const placed odd{bytes, 3, 'o'};
  CHECK(file->direct({&odd.part, 1}) == -1);
  CHECK(file->write(block, {&odd.part, 1}, false) == 0);
  CHECK(it.text(block, bytes) == std::string(bytes, 'o'));
  const placed even{bytes, 0, '-'};
  CHECK(file->direct({&even.part, 1}) >= 0);
  CHECK(file->read(block, {&even.part, 1}) == 0);
  CHECK(even.text() == std::string(bytes, 'o'));
  const placed back{bytes, 1, '-'};
  CHECK(file->read(block, {&back.part, 1}) == 0);
  CHECK(back.text() == std::string(bytes, 'o'));
}

TEST_CASE("blk file: a block of O_DIRECT, is the least that it reads") {
  const image it;
  auto fd = it.open(O_RDWR | O_DIRECT);
  if (!fd) {
    WARN("not checked: this file system has no O_DIRECT");
    return;
  }
  const placed room{4096, 0, '-'};
  std::uint32_t least = 512;
  while (least < 4096 && ::pread(fd.get(), room.memory, least, 0) < 0)
    least *= 2;
  CHECK(blk::host_file::adopt(std::move(fd), false).value()->shape().block_size == least);
}

TEST_CASE("blk file: a block device of the host, is measured and served") {
  const image it;
  const unique_fd control{::open("/dev/loop-control", O_RDWR | O_CLOEXEC)};
  const auto number = control ? ::ioctl(control.get(), 0x4C82) : -1; // LOOP_CTL_GET_FREE
  unique_fd loop{::open(("/dev/loop" + std::to_string(number)).c_str(), O_RDWR | O_CLOEXEC)};
  const auto backing = it.open(O_RDWR);
  if (!loop || ::ioctl(loop.get(), 0x4C00, backing.get()) != 0) { // LOOP_SET_FD
    WARN("not checked: needs root and a loop device");
    return;
  }
  const unique_fd detach{::dup(loop.get())};
  {
    const auto file = blk::host_file::adopt(std::move(loop), false).value();
    CHECK(file->shape().size == size);
    CHECK(file->shape().block_size == 512);
    const placed some{4096, 0, 'w'};
    CHECK(file->write(0, {&some.part, 1}, true) == 0);
    CHECK(file->discard(kib(64), kib(64)) == 0);
    CHECK(file->zero(kib(256), kib(64), false) == 0);
    CHECK(file->flush() == 0);
  }
  CHECK(::ioctl(detach.get(), 0x4C01, 0) == 0); // LOOP_CLR_FD
  CHECK(it.text(0, 4096) == std::string(4096, 'w'));
  CHECK(it.text(kib(256), kib(64)) == std::string(kib(64), '\0'));
}

TEST_CASE("blk engines: the traffic of a busy guest, arrives whole by threads") {
  const image it;
  const auto disk = disk_of(it, blk::engine_kind::threads);
  CHECK(disk->engine_name() == "threads");
  blk_bench b{disk};
  mixed_traffic(b, it);
}

TEST_CASE("blk engines: the traffic of a busy guest, arrives whole by io_uring") {
  const image it;
  const heard log;
  const auto disk = disk_of(it, blk::engine_kind::io_uring);
  REQUIRE(disk->open());
  if (disk->engine_name() != "io_uring") {
    CHECK_THAT(log.text, Catch::Contains("threads instead"));
    WARN("not checked: " << log.text);
    return;
  }
  blk_bench b{disk};
  mixed_traffic(b, it);
}

TEST_CASE("blk engines: a host that refuses io_uring, gets threads and a word in the log") {
  const image it;
  const auto child = ::fork();
  if (child == 0) { // A filter cannot be taken back.
    refuse_io_uring();
    const heard log;
    const auto disk = disk_of(it, blk::engine_kind::io_uring);
    blk_bench b{disk};
    b.read(0, 0, 512);
    const auto served = b.kick() && b.answers(0, status::ok, 513);
    const auto told = log.text.find("threads instead") != std::string::npos;
    ::_exit(disk->engine_name() == "threads" && served && told ? 0 : 1);
  }
  int result = -1;
  REQUIRE(::waitpid(child, &result, 0) == child);
  CHECK(result == 0);
}

TEST_CASE("blk engines: a disk that no driver wants, costs neither thread nor descriptor") {
  for (const auto engine : {blk::engine_kind::threads, blk::engine_kind::io_uring}) {
    const image it;
    auto file = it.adopt(O_RDWR);
    const auto threads = entries_of("/proc/self/task");
    const auto descriptors = entries_of("/proc/self/fd");
    const auto disk = blk::disk::make(std::move(file), {.engine = engine, .threads = 1}).value();
    CHECK(entries_of("/proc/self/task") == threads);
    CHECK(entries_of("/proc/self/fd") == descriptors);
    REQUIRE(disk->open());
    CHECK(entries_of("/proc/self/task") == threads + 1);
    CHECK(entries_of("/proc/self/fd") > descriptors);
  }
}

TEST_CASE("blk engines: where no descriptor is left, one driver fails and a later one does not") {
  for (const auto engine : {blk::engine_kind::threads, blk::engine_kind::io_uring}) {
    const image it;
    const auto other = disk_of(it, engine);
    REQUIRE(other->open());
    const auto disk = disk_of(it, engine);
    {
      const no_descriptors left;
      const auto opened = disk->open();
      REQUIRE_FALSE(opened);
      CHECK(opened.error().code == errc::host_io);
      CHECK(opened.error().os_error == EMFILE);
    }
    blk_bench b{disk};
    b.read(0, 0, 512);
    REQUIRE(b.kick());
    CHECK(b.answers(0, status::ok, 513));
    CHECK(disk->engine_name() == other->engine_name());
  }
}

TEST_CASE("blk engines: O_DIRECT with buffers at odd addresses, by both") {
  for (const auto engine : {blk::engine_kind::threads, blk::engine_kind::io_uring}) {
    const image it;
    if (!it.open(O_RDWR | O_DIRECT)) {
      WARN("not checked: this file system has no O_DIRECT");
      return;
    }
    blk_bench b{disk_of(it, engine, O_RDWR | O_DIRECT)};
    b.prepare(0, type::out, 0);
    b.ram.put_text(b.at(0).data + 8, std::string(4096, 'o'));
    b.ring->add(
        0,
        {{b.at(0).header, 16, false}, {b.at(0).data + 8, 4096, false}, {b.at(0).status, 1, true}});
    b.write(4, 8, std::string(4096, 'e'));
    REQUIRE(b.kick());
    REQUIRE(b.answered());
    REQUIRE(b.answered());
    CHECK(it.text(0, 8192) == std::string(4096, 'o') + std::string(4096, 'e'));
    b.prepare(0, type::in, 0);
    b.ring->add(
        0,
        {{b.at(0).header, 16, false}, {b.at(0).data + 40, 4096, true}, {b.at(0).status, 1, true}});
    REQUIRE(b.kick());
    CHECK(b.answers(0, status::ok, 4097));
    CHECK(b.ram.text(b.at(0).data + 40, 4096) == std::string(4096, 'o'));
  }
}

TEST_CASE("blk engines: flush, discard and zeros, by both") {
  for (const auto engine : {blk::engine_kind::threads, blk::engine_kind::io_uring}) {
    const image it;
    blk_bench b{disk_of(it, engine)};
    b.flush(0);
    b.ranges(4, type::discard, {{128, 128, 0}});
    b.ranges(8, type::write_zeroes, {{512, 128, blk::wire::range_unmap}});
    REQUIRE(b.kick());
    for (int i = 0; i < 3; ++i) {
      const auto used = b.answered();
      REQUIRE(used);
      CHECK(b.ram.get<std::uint8_t>(b.at(static_cast<std::uint16_t>(used->head)).status) == 0);
    }
    CHECK(it.hole(kib(64), kib(64)));
    CHECK(it.hole(kib(256), kib(64)));
  }
}

TEST_CASE("blk engines: logic that crashes in the midst of traffic, by both") {
  for (const auto engine : {blk::engine_kind::threads, blk::engine_kind::io_uring}) {
    const image it;
    const auto plan = fault_plan::parse_text("slot:blk:result throw @3\n"
                                             "slot:blk:executing throw @20\n"
                                             "slot:blk:taken throw @30\n")
                          .value();
    blk_bench b{blk::disk::make(it.adopt(O_RDWR), {.engine = engine, .faults = plan}).value()};
    std::array<int, blk_bench::ring_size> answers{};
    for (int round = 0; round < 4; ++round) {
      for (std::uint16_t head = 0; head < blk_bench::ring_size; head += 4)
        b.write(head, head, std::string(512, static_cast<char>('a' + round)));
      if (b.kick_throws())
        b.rebuild();
      for (int i = 0; i < blk_bench::ring_size / 4; ++i) {
        const auto used = b.answered();
        REQUIRE(used);
        CHECK(used->written == 1);
        ++answers[used->head];
      }
    }
    CHECK(b.silent());
    CHECK(b.crashes == 3);
    for (std::uint16_t head = 0; head < blk_bench::ring_size; head += 4) {
      CHECK(answers[head] == 4);
      CHECK(it.text(head * 512, 512) == std::string(512, 'd'));
    }
  }
}
