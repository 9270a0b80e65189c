// The devices that other hypervisors' guests meet over vhost-user, behind our own guest's window.
#include "actors/devices/transport/mmio/session.hpp"
#include "actors/devices/virtio/fs/device.hpp"
#include "actors/devices/virtio/vsock/device.hpp"
#include "tests/support/mmio_driver.hpp"

#include <catch2/catch.hpp>

#include <linux/fuse.h>

#include <filesystem>

using namespace troupe;
using namespace troupe::testing;
using mmio::reg;

namespace {

constexpr milliseconds limit{5000};
constexpr gpa base = 0xd000'1000;
constexpr gpa rings_at = 0x10000;
constexpr gpa ring_stride = 0x8000;
constexpr gpa request_at = 0x80000;
constexpr gpa reply_at = 0x90000;
constexpr std::uint16_t ring_size = 8;
constexpr std::uint64_t features = virtio::feature_version_1 | virtio::feature_event_index;

struct bench {
  bench(std::unique_ptr<virtio::device> device, std::uint32_t queues) {
    for (std::uint32_t i = 0; i < queues; ++i)
      rings.emplace_back(ram, rings_at + ring_stride * i, ring_size);
    served = mmio::session::start(std::move(device), ram.memory(), *loop, machine, {.base = base},
                                  {[] {}, [this](failure why) { failed = std::move(why); }})
                 .value();
    must(memory_bus.add(base, mmio::window_bytes, served->registers()));
    REQUIRE(driver.agree(features));
    for (std::uint32_t i = 0; i < queues; ++i)
      REQUIRE(driver.set_up(i, rings[i].state()));
    driver.run();
    REQUIRE(driver.status() == 0xf);
  }
  ~bench() {
    must(memory_bus.remove(base));
    served.reset();
    CHECK_FALSE(failed);
  }
  void kick(std::uint32_t queue) {
    driver.kick(queue);
    for (int i = 0; i < 2; ++i)
      must(loop->run(
          "settle", [] {}, limit));
  }

  guest_ram ram;
  std::vector<driver_ring> rings;
  fake_machine machine;
  std::unique_ptr<devices::worker> loop = devices::worker::start("test").value();
  std::optional<failure> failed;
  bus::address_space memory_bus{bus::space::mmio};
  mmio_driver driver{memory_bus, machine, base};
  std::unique_ptr<mmio::session> served;
};

std::shared_ptr<vsock::endpoint> some_endpoint() {
  const auto path =
      std::filesystem::temp_directory_path() / ("troupe-mmio-" + std::to_string(::getpid()));
  return vsock::endpoint::listen(path.string()).value();
}

// FUSE_INIT as a guest's kernel sends it first.
struct init_request {
  fuse_in_header header{};
  fuse_init_in body{};
};

init_request init() {
  init_request it;
  it.header.len = sizeof(it);
  it.header.opcode = FUSE_INIT;
  it.header.unique = 77;
  it.body.major = 7;
  it.body.minor = 38;
  return it;
}

} // namespace

TEST_CASE("vsock over mmio: the CID is in the window, and a call to nobody comes back as a reset") {
  bench b{std::make_unique<vsock::device>(3, some_endpoint()), 3};
  CHECK(b.driver.get(reg::device_id) == 19);
  CHECK(b.driver.read<std::uint64_t>(0x100) == 3);
  b.rings[0].add(0, {{reply_at, 4096, true}});
  b.kick(0);
  vsock::header call;
  call.source_cid = 3;
  call.target_cid = vsock::host_cid;
  call.source_port = 1234;
  call.target_port = 80;
  call.op = vsock::operation::request;
  call.buffer_size = 65536;
  b.ram.put(request_at, encode(call));
  b.rings[1].add(0, {{request_at, vsock::header_bytes, false}});
  b.kick(1);
  CHECK(b.rings[1].take_used() == used_entry{0, 0});
  REQUIRE(b.rings[0].take_used() == used_entry{0, vsock::header_bytes});
  const auto answer = vsock::decode(b.ram.get<vsock::header_image>(reply_at));
  CHECK(answer.op == vsock::operation::reset);
  CHECK(answer.target_port == 1234);
  CHECK(b.machine.interrupts > 0);
  CHECK(b.driver.get(reg::interrupt_status) == mmio::interrupt_used_buffer);
  CHECK(b.served->state(limit).value().queues[1].event_index);
}

TEST_CASE("fs over mmio: the tag is in the window, and the first request is answered") {
  const auto shares = std::make_shared<fuse::session>();
  virtio::fs_options how;
  how.tag = "kataShared";
  how.own_loop = GENERATE(true, false);
  bench b{virtio::fs_device::make(shares, how).value(), 2};
  CHECK(b.driver.get(reg::device_id) == 26);
  CHECK(b.driver.read<std::uint32_t>(0x100) == ('k' | 'a' << 8 | 't' << 16 | 'a' << 24));
  CHECK(b.driver.read<std::uint32_t>(0x100 + 36) == 1);
  b.ram.put(request_at, init());
  b.rings[1].add(0, {{request_at, sizeof(init_request), false}, {reply_at, 4096, true}});
  b.kick(1);
  must(b.served->pause(limit)); // Waits for the device's own threads.
  must(b.served->resume(limit));
  const auto used = b.rings[1].take_used();
  REQUIRE(used);
  CHECK(used->written == sizeof(fuse_out_header) + sizeof(fuse_init_out));
  const auto head = b.ram.get<fuse_out_header>(reply_at);
  CHECK(head.unique == 77);
  CHECK(head.error == 0);
  CHECK(b.ram.get<fuse_init_out>(reply_at + sizeof(head)).major == 7);
  CHECK(b.driver.get(reg::interrupt_status) == mmio::interrupt_used_buffer);

  // New logic over the same session and queues goes on.
  must(b.served->replace_device(virtio::fs_device::make(shares, how).value(), limit));
  b.ram.put(request_at, init());
  b.rings[1].add(2, {{request_at, sizeof(init_request), false}, {reply_at, 4096, true}});
  b.kick(1);
  must(b.served->pause(limit));
  CHECK(b.rings[1].take_used());
}
