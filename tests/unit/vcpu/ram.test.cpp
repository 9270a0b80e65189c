#include "actors/vcpu/memory/ram.hpp"
#include "actors/vcpu/memory/slots_raw.hpp"

#include <catch2/catch.hpp>

#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

using namespace troupe;
using namespace troupe::memory;

namespace {

constexpr memory_layout usual{gib(3), gib(4)};

ram_plan plan_of(byte_count size) {
  ram_plan plan;
  plan.size = size;
  return plan;
}

// How many of the bytes' pages the host holds.
std::size_t resident_pages(std::span<const std::byte> bytes) {
  std::vector<unsigned char> pages(bytes.size() / kib(4));
  REQUIRE(::mincore(const_cast<std::byte*>(bytes.data()), bytes.size(), pages.data()) == 0);
  std::size_t count = 0;
  for (const auto it : pages)
    count += it & 1;
  return count;
}

} // namespace

TEST_CASE("memory layout: RAM that fits below the hole, is one piece") {
  for (const auto size : {kib(4), mib(128), gib(3) - kib(4), gib(3)}) {
    const auto map = lay_out(size, usual);
    REQUIRE(map);
    CHECK(map->boot == std::vector<placed_piece>{{0, size, 0}});
    CHECK(map->file_size == size);
    CHECK(map->windows.empty());
  }
}

TEST_CASE("memory layout: RAM over 3 GiB, goes on at 4 GiB") {
  const auto page_more = lay_out(gib(3) + kib(4), usual);
  REQUIRE(page_more);
  CHECK(page_more->boot == std::vector<placed_piece>{{0, gib(3), 0}, {gib(4), kib(4), gib(3)}});
  const auto big = lay_out(gib(6), usual);
  REQUIRE(big);
  CHECK(big->boot == std::vector<placed_piece>{{0, gib(3), 0}, {gib(4), gib(3), gib(3)}});
  CHECK(big->file_size == gib(6));
}

TEST_CASE("memory layout: hot-plug windows, follow RAM in the file in whole 2 MiB") {
  const std::array<extent, 2> windows{{{gib(8), gib(1)}, {gib(16), mib(2)}}};
  const auto map = lay_out(gib(3) + kib(4), usual, windows);
  REQUIRE(map);
  CHECK(map->windows == std::vector<placed_piece>{
                            {gib(8), gib(1), gib(3) + mib(2)},
                            {gib(16), mib(2), gib(4) + mib(2)},
                        });
  CHECK(map->file_size == gib(4) + mib(4));
}

TEST_CASE("memory layout: windows in the hole, over RAM, over each other or crooked, are refused") {
  const auto refused = [](extent window, byte_count size = mib(128)) {
    const auto map = lay_out(size, usual, std::span{&window, 1});
    return !map && map.error().code == errc::invalid_argument;
  };
  CHECK_FALSE(refused({gib(2), gib(1)}));
  CHECK(refused({gib(2), gib(1) + mib(2)}));
  CHECK(refused({gib(3), mib(2)}));
  CHECK(refused({gib(4) - mib(2), mib(4)}));
  CHECK(refused({mib(126), mib(2)}));
  CHECK(refused({gib(4), mib(2)}, gib(3) + kib(4)));
  CHECK(refused({gib(8), 0}));
  CHECK(refused({gib(8), kib(4)}));
  CHECK(refused({gib(8) + kib(4), mib(2)}));
  CHECK(refused({~gpa{0} - mib(2) + 1, mib(2)}));
  const std::array<extent, 2> twice{{{gib(8), mib(4)}, {gib(8) + mib(2), mib(4)}}};
  CHECK_FALSE(lay_out(mib(128), usual, twice));
  const std::vector<extent> many(max_hot_plug_windows + 1, extent{gib(8), mib(2)});
  CHECK_THAT(lay_out(mib(128), usual, many).error().text, Catch::Contains("17 are over 16"));
}

TEST_CASE("memory layout: sizes and holes that make no machine, are refused") {
  CHECK_FALSE(lay_out(0, usual));
  CHECK_FALSE(lay_out(kib(4) + 1, usual));
  CHECK_FALSE(lay_out(max_ram + kib(4), usual));
  CHECK_FALSE(lay_out(mib(1), {0, gib(4)}));
  CHECK_FALSE(lay_out(mib(1), {gib(3) + kib(4), gib(4)}));
  CHECK_FALSE(lay_out(mib(1), {gib(4), gib(3)}));
}

TEST_CASE("ram: guest and host addresses, agree modulo 2 MiB on both sides of the hole") {
  auto plan = plan_of(gib(3) + mib(6));
  plan.pages = page_kind::transparent_huge;
  plan.windows = {{gib(8), gib(64)}};
  const auto made = allocate(plan);
  REQUIRE(made);
  const auto slots = host_slots(*made->memory);
  REQUIRE(slots);
  REQUIRE(slots->size() == 3);
  for (const auto& it : *slots)
    CHECK(it.base % huge_page == it.host % huge_page);
  CHECK((*slots)[1].base == gib(4));
  CHECK((*slots)[1].size == mib(6));
  CHECK((*slots)[2].size == gib(64));
}

TEST_CASE("ram: its file, is sealed against peers and holds no page before it is used") {
  const auto made = allocate(plan_of(mib(64)));
  REQUIRE(made);
  CHECK(::ftruncate(made->file.get(), 0) == -1);
  CHECK(errno == EPERM);
  CHECK(::ftruncate(made->file.get(), static_cast<off_t>(mib(65))) == -1);
  CHECK((::fcntl(made->file.get(), F_GETFD) & FD_CLOEXEC) != 0);
  struct stat file {};
  REQUIRE(::fstat(made->file.get(), &file) == 0);
  CHECK(file.st_blocks == 0);
}

TEST_CASE("ram: two pieces of one file, do not show each other's bytes") {
  const auto made = allocate(plan_of(gib(3) + mib(2)));
  REQUIRE(made);
  const std::array<std::byte, 2> written{std::byte{1}, std::byte{2}};
  REQUIRE(made->memory->write(gib(3) - 2, written));
  REQUIRE(made->memory->write(gib(4), std::span{written}.first(1)));
  std::array<std::byte, 1> back{};
  REQUIRE(made->memory->read(gib(3) - 1, back));
  CHECK(back[0] == std::byte{2});
  REQUIRE(made->memory->read(gib(4), back));
  CHECK(back[0] == std::byte{1});
  CHECK_FALSE(made->memory->read(gib(3), back));
}

TEST_CASE("ram: preallocated, has every page at once and its windows have none") {
  auto plan = plan_of(mib(130));
  plan.windows = {{gib(8), mib(4)}};
  plan.prealloc = true;
  plan.prealloc_threads = 3;
  const auto made = allocate(plan);
  REQUIRE(made);
  const auto bytes = made->memory->contiguous(0, mib(130));
  REQUIRE(bytes);
  CHECK(resident_pages(*bytes) == mib(130) / kib(4));
  struct stat file {};
  REQUIRE(::fstat(made->file.get(), &file) == 0);
  CHECK(static_cast<byte_count>(file.st_blocks) * 512 == mib(130));
}

TEST_CASE("ram: populating memory in use, changes no byte of it") {
  const auto made = allocate(plan_of(mib(4)));
  REQUIRE(made);
  const std::array<std::byte, 1> mark{std::byte{0x5a}};
  REQUIRE(made->memory->write(mib(2), mark));
  const auto bytes = made->memory->contiguous(0, mib(4));
  REQUIRE(bytes);
  REQUIRE(populate(*bytes, 2));
  std::array<std::byte, 1> back{};
  REQUIRE(made->memory->read(mib(2), back));
  CHECK(back == mark);
  CHECK(resident_pages(*bytes) == mib(4) / kib(4));
}

TEST_CASE("ram: transparent huge pages, are asked for without taking memory") {
  auto plan = plan_of(mib(8));
  plan.pages = page_kind::transparent_huge;
  const auto made = allocate(plan);
  REQUIRE(made);
  const auto bytes = made->memory->contiguous(0, mib(8));
  REQUIRE(bytes);
  CHECK(resident_pages(*bytes) == 0);
}

TEST_CASE("ram: huge pages that the host does not have, are an error before boot") {
  auto plan = plan_of(gib(512)); // More than any pool that a test machine could have.
  plan.pages = page_kind::hugetlb;
  const auto made = allocate(plan);
  REQUIRE_FALSE(made);
  CHECK(made.error().code == errc::resource_exhausted);
  CHECK_THAT(made.error().text, Catch::StartsWith("ram: preallocate"));
  plan.size = mib(2) + kib(4);
  CHECK(allocate(plan).error().code == errc::invalid_argument);
}

TEST_CASE("ram: plans with no threads or too many, are refused by name") {
  auto plan = plan_of(mib(1));
  plan.prealloc_threads = 0;
  CHECK_THAT(allocate(plan).error().text, Catch::StartsWith("prealloc threads: 0"));
  plan.prealloc_threads = max_prealloc_threads + 1;
  CHECK(allocate(plan).error().code == errc::invalid_argument);
}

TEST_CASE("ram: dropped, gives descriptors and address space back") {
  const auto mapped = [] {
    std::size_t count = 0;
    std::FILE* maps = std::fopen("/proc/self/maps", "re");
    for (int c = 0; (c = std::fgetc(maps)) != EOF;)
      count += c == '\n';
    std::fclose(maps);
    return count;
  };
  { const auto warm = allocate(plan_of(mib(4))); }
  const auto before = mapped();
  const int lowest_free = ::dup(0);
  ::close(lowest_free);
  for (int i = 0; i < 50; ++i)
    REQUIRE(allocate(plan_of(gib(4))));
  CHECK(mapped() <= before + 1);
  const unique_fd now{::dup(0)};
  CHECK(now.get() == lowest_free);
}
