#include "actors/devices/virtio/blk/request.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

using namespace troupe;
using namespace troupe::blk;
using wire::status;
using wire::type;

namespace {

constexpr std::uint64_t all_features = ~0ULL;

// A chain over memory of the test: any number of readable and writable buffers.
struct request {
  request& readable(std::string bytes) {
    it.readable_bytes += bytes.size();
    add(std::move(bytes));
    ++it.readable_segments;
    return *this;
  }
  request& writable(std::size_t size) {
    it.writable_bytes += size;
    add(std::string(size, '\xaa'));
    return *this;
  }
  request& header(type what, std::uint64_t sector) {
    const wire::header head{what, 0xffff'ffff, sector};
    std::string image(sizeof(head), '\0');
    std::memcpy(image.data(), &head, sizeof(head));
    return readable(std::move(image));
  }
  request& range(std::uint64_t sector, std::uint32_t sectors, std::uint32_t flags = 0) {
    const wire::range one{sector, sectors, flags};
    std::string image(sizeof(one), '\0');
    std::memcpy(image.data(), &one, sizeof(one));
    return readable(std::move(image));
  }

  virtio::chain it;

private:
  void add(std::string bytes) {
    auto& kept = *buffers_.emplace_back(std::make_unique<std::string>(std::move(bytes)));
    it.segments.push_back({kept.data(), kept.size()});
  }
  std::vector<std::unique_ptr<std::string>> buffers_;
};

// 64 sectors.
rules plain() {
  return {.shape = {.size = kib(32), .discards = true},
          .features = all_features,
          .writeback = true,
          .serial = "disk-7"};
}

struct judged {
  verdict said;
  job work;
};

judged judge_it(const request& it, const rules& by = plain()) {
  judged result;
  result.said = judge(it.it, by, result.work);
  return result;
}

bool refused(const request& it, status how, const rules& by = plain()) {
  const auto got = judge_it(it, by).said;
  return !got.execute && got.status == how && got.data_bytes == 0;
}

} // namespace

TEST_CASE("blk request: the wire's numbers and places, byte for byte") {
  CHECK(sizeof(wire::header) == 16);
  CHECK(offsetof(wire::config, size_max) == 8);
  CHECK(offsetof(wire::config, block_size) == 20);
  CHECK(offsetof(wire::config, physical_block_exponent) == 24);
  CHECK(offsetof(wire::config, optimal_io_blocks) == 28);
  CHECK(offsetof(wire::config, queues) == 34);
  CHECK(offsetof(wire::config, max_write_zeroes_sectors) == 48);
  CHECK(offsetof(wire::config, write_zeroes_may_unmap) == 56);
}

TEST_CASE("blk request: a read, is all writable bytes but the last") {
  request it;
  it.header(type::in, 2).writable(512).writable(513);
  const auto got = judge_it(it);
  REQUIRE(got.said.execute);
  CHECK(got.said.data_bytes == 1024);
  CHECK(got.work.what == job::operation::read);
  CHECK(got.work.at == 1024);
  REQUIRE(got.work.buffers.size() == 2);
  CHECK(got.work.buffers[0].iov_base == it.it.segments[1].iov_base);
  CHECK(got.work.buffers[1].iov_len == 512);
}

TEST_CASE("blk request: a header cut into many descriptors with data behind it, is understood") {
  request whole;
  whole.header(type::out, 1);
  std::string image(16, '\0');
  std::memcpy(image.data(), whole.it.segments[0].iov_base, 16);
  request it;
  it.readable(image.substr(0, 3)).readable(image.substr(3, 10));
  it.readable(image.substr(13) + std::string(512, 'd')).writable(1);
  const auto got = judge_it(it);
  REQUIRE(got.said.execute);
  CHECK(got.work.what == job::operation::write);
  CHECK(got.work.at == 512);
  REQUIRE(got.work.buffers.size() == 1);
  CHECK(got.work.buffers[0].iov_len == 512);
  CHECK_FALSE(got.work.durable);
}

TEST_CASE("blk request: sectors outside of the disk, are refused however they wrap") {
  const auto read = [](std::uint64_t sector, std::size_t sectors) {
    request it;
    it.header(type::in, sector).writable(sectors * 512 + 1);
    return it;
  };
  CHECK(judge_it(read(63, 1)).said.execute);
  CHECK(judge_it(read(0, 64)).said.execute);
  CHECK(refused(read(64, 1), status::io_error));
  CHECK(refused(read(63, 2), status::io_error));
  CHECK(refused(read(0, 65), status::io_error));
  CHECK(refused(read(0xffff'ffff'ffff'ffff, 1), status::io_error));
  CHECK(refused(read(0xffff'ffff'ffff'ffff, 2), status::io_error));
  CHECK(refused(read(0x7fff'ffff'ffff'ffff, 1), status::io_error));
  CHECK(refused(read(0x0080'0000'0000'0000, 1), status::io_error)); // times 512: 0
}

TEST_CASE("blk request: data that is not whole sectors, or too much of it, is refused") {
  request odd;
  odd.header(type::in, 0).writable(512);
  CHECK(refused(odd, status::io_error));
  request half;
  half.header(type::out, 0).readable(std::string(100, 'x')).writable(1);
  CHECK(refused(half, status::io_error));
  auto by = plain();
  by.shape.size = gib(1);
  const auto large = [](std::size_t bytes) {
    request it;
    it.header(type::in, 0).writable(bytes).writable(1);
    return it;
  };
  CHECK(judge_it(large(request_bytes_max), by).said.execute);
  CHECK(refused(large(request_bytes_max + 512), status::io_error, by));
}

TEST_CASE("blk request: blocks of 4 KiB, are not cut") {
  auto by = plain();
  by.shape.block_size = 4096;
  request whole;
  whole.header(type::out, 8).readable(std::string(4096, 'x')).writable(1);
  CHECK(judge_it(whole, by).said.execute);
  request shifted;
  shifted.header(type::out, 9).readable(std::string(4096, 'x')).writable(1);
  CHECK(refused(shifted, status::io_error, by));
  request part;
  part.header(type::out, 8).readable(std::string(512, 'x')).writable(1);
  CHECK(refused(part, status::io_error, by));
}

TEST_CASE("blk request: a short header or no room for a status, is nobody's request") {
  request shorter;
  shorter.readable("short").writable(513);
  CHECK(refused(shorter, status::io_error));
  request none;
  none.writable(1);
  CHECK(refused(none, status::io_error));
  request silent;
  silent.header(type::in, 0);
  CHECK(refused(silent, status::io_error));
  request silent_write;
  silent_write.header(type::out, 0).readable(std::string(512, 'x'));
  CHECK(refused(silent_write, status::io_error));
}

TEST_CASE("blk request: kinds we do not know, are unsupported") {
  for (const std::uint32_t kind : {2U, 3U, 5U, 7U, 9U, 10U, 12U, 14U, 0x8000'0000U, 0xffff'ffffU}) {
    request it;
    it.header(static_cast<type>(kind), 0).writable(513);
    CHECK(refused(it, status::unsupported));
  }
}

TEST_CASE("blk request: a read-only disk, refuses everything that changes it") {
  auto by = plain();
  by.shape.read_only = true;
  request write;
  write.header(type::out, 0).readable(std::string(512, 'x')).writable(1);
  CHECK(refused(write, status::io_error, by));
  for (const auto kind : {type::discard, type::write_zeroes}) {
    request it;
    it.header(kind, 0).range(0, 1).writable(1);
    CHECK(refused(it, status::io_error, by));
  }
  request read;
  read.header(type::in, 0).writable(513);
  CHECK(judge_it(read, by).said.execute);
  request flush;
  flush.header(type::flush, 0).writable(1);
  CHECK(judge_it(flush, by).said.execute);
}

TEST_CASE("blk request: the disk's name, fills 20 bytes or what there is") {
  request it;
  it.header(type::get_id, 0).writable(20).writable(1);
  const auto got = judge_it(it).said;
  CHECK_FALSE(got.execute);
  CHECK(got.status == status::ok);
  CHECK(got.data_bytes == 20);
  const std::string name(static_cast<const char*>(it.it.segments[1].iov_base), 20);
  CHECK(name == std::string("disk-7") + std::string(14, '\0'));
  request less;
  less.header(type::get_id, 0).writable(5);
  CHECK(judge_it(less).said.data_bytes == 4);
  CHECK(static_cast<const char*>(less.it.segments[1].iov_base)[4] == '\xaa');
}

TEST_CASE("blk request: discards, name up to sixteen ranges on the disk") {
  request it;
  it.header(type::discard, 0).range(0, 8).range(60, 4).writable(1);
  const auto got = judge_it(it);
  REQUIRE(got.said.execute);
  CHECK(got.work.what == job::operation::discard);
  REQUIRE(got.work.range_count == 2);
  CHECK(got.work.ranges[1].at == 60 * 512);
  CHECK(got.work.ranges[1].length == 4 * 512);
  request many;
  many.header(type::discard, 0);
  for (std::size_t i = 0; i <= ranges_max; ++i)
    many.range(0, 1);
  many.writable(1);
  CHECK(refused(many, status::io_error));
}

TEST_CASE("blk request: ranges that are outside, empty, too long or flagged, are refused") {
  const auto discard = [](std::uint64_t sector, std::uint32_t sectors, std::uint32_t flags = 0) {
    request it;
    it.header(type::discard, 0).range(0, 1).range(sector, sectors, flags).writable(1);
    return it;
  };
  CHECK(refused(discard(61, 4), status::io_error));
  CHECK(refused(discard(0xffff'ffff'ffff'ffff, 1), status::io_error));
  CHECK(refused(discard(0, 0), status::io_error));
  CHECK(refused(discard(0, 0xffff'ffff), status::io_error));
  CHECK(refused(discard(0, 1, wire::range_unmap), status::unsupported));
  CHECK(refused(discard(0, 1, 0x8000'0000), status::unsupported));
  auto by = plain();
  by.shape.size = gib(4);
  CHECK(judge_it(discard(0, discard_sectors_max), by).said.execute);
  CHECK(refused(discard(0, discard_sectors_max + 1), status::io_error, by));
  request none;
  none.header(type::discard, 0).writable(1);
  CHECK(refused(none, status::io_error));
  request torn;
  torn.header(type::discard, 0).readable(std::string(17, '\1')).writable(1);
  CHECK(refused(torn, status::io_error));
}

TEST_CASE("blk request: zeros, are one range and may be unmapped if the driver says so") {
  for (const std::uint32_t flags : {0U, wire::range_unmap}) {
    request it;
    it.header(type::write_zeroes, 0).range(2, 3, flags).writable(1);
    const auto got = judge_it(it);
    REQUIRE(got.said.execute);
    CHECK(got.work.what == job::operation::zero);
    CHECK(got.work.unmap == (flags != 0));
  }
  request two;
  two.header(type::write_zeroes, 0).range(0, 1).range(1, 1).writable(1);
  CHECK(refused(two, status::io_error));
  request flagged;
  flagged.header(type::write_zeroes, 0).range(0, 1, 2).writable(1);
  CHECK(refused(flagged, status::unsupported));
}

TEST_CASE("blk request: what was not negotiated, is unsupported") {
  auto by = plain();
  by.features = 0;
  for (const auto kind : {type::discard, type::write_zeroes}) {
    request it;
    it.header(kind, 0).range(0, 1).writable(1);
    CHECK(refused(it, status::unsupported, by));
  }
}

TEST_CASE("blk request: without a cache, everything that changes the disk is durable") {
  auto by = plain();
  by.writeback = false;
  request write;
  write.header(type::out, 0).readable(std::string(512, 'x')).writable(1);
  CHECK(judge_it(write, by).work.durable);
  request zero;
  zero.header(type::write_zeroes, 0).range(0, 1).writable(1);
  CHECK(judge_it(zero, by).work.durable);
}

TEST_CASE("blk request: a job that served before, keeps nothing") {
  judged used;
  request zero;
  zero.header(type::write_zeroes, 0).range(0, 1, wire::range_unmap).writable(1);
  auto by = plain();
  by.writeback = false;
  (void)judge(zero.it, by, used.work);
  used.work.at = 7;
  used.work.error = used.work.injected = EIO;
  request flush;
  flush.header(type::flush, 0).writable(1);
  (void)judge(flush.it, plain(), used.work);
  CHECK(used.work.what == job::operation::flush);
  CHECK(used.work.at == 0);
  CHECK(used.work.range_count == 0);
  CHECK_FALSE(used.work.unmap);
  CHECK_FALSE(used.work.durable);
  CHECK(used.work.error == 0);
  CHECK(used.work.injected == 0);
}

TEST_CASE("blk request: errors of the host, become the two that there are") {
  CHECK(status_of(0) == status::ok);
  CHECK(status_of(EIO) == status::io_error);
  CHECK(status_of(ENOSPC) == status::io_error);
  CHECK(status_of(EOPNOTSUPP) == status::unsupported);
}
