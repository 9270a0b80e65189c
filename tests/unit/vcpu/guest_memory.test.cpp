#include "actors/vcpu/memory/guest_memory.hpp"

#include "actors/vcpu/memory/access_raw.hpp"
#include "tests/support/guest_ram.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <limits>

using namespace troupe;
using memory::guest_memory;
using memory::region;

namespace {

unique_fd file_of(byte_count size) {
  unique_fd fd{::memfd_create("ram", 0)};
  REQUIRE(::ftruncate(fd.get(), static_cast<off_t>(size)) == 0);
  return fd;
}

outcome<std::shared_ptr<const guest_memory>> map_one(region it,
                                                     byte_count alignment = memory::small_page) {
  std::vector<region> regions;
  regions.push_back(std::move(it));
  return guest_memory::map(std::move(regions), alignment);
}

// Two adjacent regions of a page each at 0x1000 and 0x2000, and one apart at 0x10000.
std::shared_ptr<const guest_memory> three_pages() {
  std::vector<region> regions;
  regions.push_back({0x10000, kib(4), file_of(kib(4)), 0});
  regions.push_back({0x2000, kib(4), file_of(kib(8)), kib(4)});
  regions.push_back({0x1000, kib(4), file_of(kib(4)), 0});
  return guest_memory::map(std::move(regions)).value();
}

} // namespace

TEST_CASE("guest memory: a copy across two adjacent regions, arrives whole") {
  const auto ram = three_pages();
  const std::array<char, 6> text{'s', 'i', 'x', ' ', 'b', 'y'};
  REQUIRE(ram->write(0x1ffd, std::as_bytes(std::span{text})));
  std::array<char, 6> back{};
  REQUIRE(ram->read(0x1ffd, std::as_writable_bytes(std::span{back})));
  CHECK(back == text);
  std::vector<iovec> parts;
  REQUIRE(ram->slice(0x1ffd, 6, parts));
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].iov_len == 3);
  CHECK(parts[1].iov_len == 3);
  CHECK(ram->size() == kib(12));
}

TEST_CASE("guest memory: host and guest addresses, agree modulo 2 MiB for regions of any place") {
  for (const gpa base : {gpa{0}, gpa{kib(4)}, gpa{kib(64)}, gpa{mib(2) - kib(4)}, gpa{mib(6)}})
    for (const auto size : {kib(4), kib(12), mib(4)}) {
      CAPTURE(base, size);
      for (const auto offset : {kib(0), mib(8) + kib(4)}) { // also further than the region is
        const auto ram = map_one({base, size, file_of(offset + size), offset}, mib(2)).value();
        const auto bytes = ram->contiguous(base, size).value();
        CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % mib(2) == base % mib(2));
      }
    }
}

TEST_CASE("guest memory: the last byte of a region, is RAM and the next one is not") {
  const auto ram = three_pages();
  std::array<std::byte, 1> byte{};
  CHECK(ram->read(0x10fff, byte));
  CHECK(ram->read(0x11000, byte).error().code == errc::guest_fault);
  CHECK(ram->read(0xfff, byte).error().code == errc::guest_fault);
  CHECK(ram->contiguous(0x10ff0, 16)->size() == 16);
  CHECK(ram->contiguous(0x10ff0, 17).error().code == errc::guest_fault);
  CHECK(ram->contiguous(0x1ff0, 32).error().code == errc::guest_fault); // Adjacent is not one.
}

TEST_CASE("guest memory: an address that wraps around, is not RAM") {
  const auto ram = three_pages();
  constexpr auto top = std::numeric_limits<gpa>::max();
  std::vector<iovec> parts;
  CHECK(ram->slice(top - 3, 16, parts).error().code == errc::guest_fault);
  CHECK(ram->slice(0x1000, top, parts).error().code == errc::guest_fault);
  CHECK(ram->contiguous(top, 1).error().code == errc::guest_fault);
}

TEST_CASE("guest memory: a 16-bit value at an odd address or over the end, is refused") {
  const auto ram = three_pages();
  REQUIRE(ram->store_u16(0x1002, 0xbeef));
  CHECK(ram->load_u16(0x1002).value() == 0xbeef);
  CHECK(ram->load_u16(0x1003).error().code == errc::guest_fault);
  CHECK(ram->store_u16(0x11000, 1).error().code == errc::guest_fault);
}

TEST_CASE("guest memory: regions that are empty, overlap, wrap or split pages, are refused") {
  std::vector<region> overlapping;
  overlapping.push_back({0, kib(8), file_of(kib(8)), 0});
  overlapping.push_back({kib(4), kib(4), file_of(kib(4)), 0});
  CHECK(guest_memory::map(std::move(overlapping)).error().code == errc::invalid_argument);
  CHECK(map_one({0, 0, file_of(kib(4)), 0}).error().code == errc::invalid_argument);
  CHECK(map_one({1, kib(4), file_of(kib(4)), 0}).error().code == errc::invalid_argument);
  CHECK(map_one({0, kib(4), file_of(kib(8)), 2}).error().code == errc::invalid_argument);
  constexpr auto last_page = std::numeric_limits<gpa>::max() - kib(4) + 1;
  CHECK(map_one({last_page, kib(8), file_of(kib(8)), 0}).error().code == errc::invalid_argument);
  CHECK(map_one({0, kib(8), file_of(kib(8)), last_page}).error().code == errc::invalid_argument);
}

TEST_CASE("guest memory: a file shorter than its region, is refused and never touched") {
  CHECK(map_one({0, kib(8), file_of(kib(4)), 0}).error().code == errc::invalid_argument);
  CHECK(map_one({0, kib(4), file_of(kib(4)), kib(4)}).error().code == errc::invalid_argument);
}

TEST_CASE("guest memory: buffer lists, copied from any offset") {
  std::array<char, 4> first{'a', 'b', 'c', 'd'};
  std::array<char, 3> second{'e', 'f', 'g'};
  const std::array<iovec, 2> list{{{first.data(), 4}, {second.data(), 3}}};
  std::array<char, 8> out{};
  CHECK(memory::raw::gather(list, 3, std::as_writable_bytes(std::span{out}).first(3)) == 3);
  CHECK(std::string_view(out.data(), 3) == "def");
  CHECK(memory::raw::gather(list, 5, std::as_writable_bytes(std::span{out})) == 2);
  CHECK(memory::raw::gather(list, 7, std::as_writable_bytes(std::span{out})) == 0);
  const std::array<char, 2> in{'X', 'Y'};
  CHECK(memory::raw::scatter(list, 3, std::as_bytes(std::span{in})) == 2);
  CHECK(first[3] == 'X');
  CHECK(second[0] == 'Y');
  const auto middle = memory::raw::window(list, 1, 4);
  REQUIRE(middle.size() == 2);
  CHECK(middle[0].iov_len == 3);
  CHECK(middle[1].iov_len == 1);
}
