#include "actors/vcpu/arch/x86_64/layout.hpp"
#include "actors/vcpu/boot/linux_header.hpp"
#include "actors/vcpu/boot/load.hpp"
#include "tests/support/guest_ram.hpp"
#include "tests/unit/vcpu/kernel_image.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::testing;
using boot::boot_request;
using boot::discovery;
using boot::protocol;
using memory::address_range;
using x86_64::entry_mode;
namespace header = boot::linux_header;
namespace layout = x86_64::layout;

namespace {

const elf_segment text{PT_LOAD, 0x1000000, std::string(0x100, '\x90'), 0x1801};

std::string payload() {
  return elf_bytes(0x1000000, {text});
}
std::string linux_with_pvh() {
  return elf_bytes(0x1000000, {text, {PT_NOTE, 0, pvh_note(0x1000010), 0}});
}

struct machine {
  explicit machine(const std::string& kernel, byte_count size = mib(32))
      : ram(size), kernel_file(file_of(kernel)) {
    request.kernel = kernel_file.get();
  }
  void initrd(const std::string& bytes) {
    initrd_file = file_of(bytes);
    request.initrd = initrd_file.get();
  }
  [[nodiscard]] outcome<boot::boot_plan> load() const { return boot::load(request, *ram.memory()); }

  guest_ram ram;
  unique_fd kernel_file;
  unique_fd initrd_file;
  boot_request request;
};

} // namespace

TEST_CASE("load: a bare payload, is entered at e_entry in 64 bits with everything in place") {
  machine it{payload()};
  it.request.command_line = "hello";
  const auto plan = it.load();
  REQUIRE(plan);
  CHECK(plan->entry == x86_64::entry{entry_mode::long_mode, 0x1000000});
  CHECK(plan->kernel == address_range{0x1000000, 0x1801});
  CHECK(plan->command_line == "hello");
  CHECK(it.ram.get<std::uint64_t>(layout::gdt + 8) == 0x00af9b000000ffff);
  CHECK(it.ram.get<std::uint64_t>(layout::page_tables) == 0xa003);
  CHECK(it.ram.text(layout::command_line, 6) == std::string("hello\0", 6));
  CHECK(it.ram.get<std::uint32_t>(layout::zero_page + header::command_line) == 0x20000);
  CHECK(it.ram.get<std::uint8_t>(layout::zero_page + header::e820_entries) == 4);
  CHECK(it.ram.text(layout::acpi, 8) == "RSD PTR ");
  CHECK(it.ram.get<std::uint32_t>(layout::mp_table) == 0);
}

TEST_CASE("load: a kernel with a PVH entry, is entered there unless told otherwise") {
  machine it{linux_with_pvh()};
  const auto chosen = it.load();
  REQUIRE(chosen);
  CHECK(chosen->entry == x86_64::entry{entry_mode::protected_mode, 0x1000010});
  CHECK(it.ram.get<std::uint32_t>(layout::pvh_start_info) == 0x336ec578);
  CHECK(it.ram.get<std::uint64_t>(layout::gdt + 8) == 0x00cf9b000000ffff);
  it.request.how = protocol::linux64;
  CHECK(it.load()->entry == x86_64::entry{entry_mode::long_mode, 0x1000000});
}

TEST_CASE("load: PVH of a kernel that does not offer it, is a failed precondition") {
  for (const auto& kernel : {payload(), bzimage_file{}.bytes}) {
    machine it{kernel};
    it.request.how = protocol::pvh;
    CHECK(it.load().error().code == errc::failed_precondition);
  }
}

TEST_CASE("load: a bzImage, is entered in 64 bits with its own header in boot_params") {
  machine it{bzimage_file{}.bytes};
  it.initrd("cpio");
  const auto plan = it.load();
  REQUIRE(plan);
  CHECK(plan->entry == x86_64::entry{entry_mode::long_mode, 0x1000200});
  CHECK(it.ram.get<std::uint16_t>(layout::zero_page + header::version) == 0x20f);
  CHECK(it.ram.get<std::uint32_t>(layout::zero_page + header::ramdisk_address) ==
        plan->initrd->start);
}

TEST_CASE("load: an initrd, is at the end of low RAM in whole pages") {
  machine it{payload()};
  it.initrd(std::string(0x1001, 'i'));
  const auto plan = it.load();
  REQUIRE(plan);
  CHECK(plan->initrd == address_range{mib(32) - 0x2000, 0x1001});
  CHECK(it.ram.text(plan->initrd->start, 0x1001) == std::string(0x1001, 'i'));
}

TEST_CASE("load: an initrd of a bzImage, stays below what the kernel can reach") {
  machine it{bzimage_file{}.put(0x22c, 4, 0x17fffff).bytes};
  it.initrd(std::string(0x1000, 'i'));
  CHECK(it.load()->initrd == address_range{0x1800000 - 0x1000, 0x1000});
}

TEST_CASE("load: an initrd that would lie on the kernel, does not fit") {
  machine it{payload(), 0x1004000};
  it.initrd(std::string(0x2000, 'i'));
  CHECK(it.load()->initrd == address_range{0x1002000, 0x2000}); // The kernel ends at 0x1001801.
  it.initrd(std::string(0x2001, 'i'));
  CHECK(it.load().error().code == errc::resource_exhausted);
  it.initrd(std::string(0x1100000, 'i'));
  CHECK(it.load().error().code == errc::resource_exhausted);
  // init_size is the bzImage's, not the file's size.
  machine packed{bzimage_file{}.bytes, 0x1101000};
  packed.initrd(std::string(0x1001, 'i'));
  CHECK(packed.load().error().code == errc::resource_exhausted);
}

TEST_CASE("load: without ACPI, devices are on the command line and processors in the MP table") {
  machine it{payload()};
  it.request.by = discovery::mp_table_and_command_line;
  it.request.devices = {layout::virtio_slot(0), layout::virtio_slot(1)};
  it.request.command_line = "quiet -- for-init";
  const auto plan = it.load();
  REQUIRE(plan);
  CHECK(plan->command_line == "virtio_mmio.device=0x1000@0xd0000000:5 "
                              "virtio_mmio.device=0x1000@0xd0001000:6 quiet -- for-init");
  CHECK(it.ram.text(layout::mp_table, 4) == "_MP_");
  CHECK(it.ram.get<std::uint32_t>(layout::acpi) == 0);
  CHECK(it.ram.get<std::uint64_t>(layout::zero_page + header::rsdp_address) == 0);
}

TEST_CASE("load: with ACPI, no device is on the command line too") {
  machine it{payload()};
  it.request.devices = {layout::virtio_slot(0)};
  it.request.command_line = "quiet";
  CHECK(it.load()->command_line == "quiet");
}

TEST_CASE("load: a command line that is too long for Linux or for this kernel, is refused") {
  machine it{bzimage_file{}.put(0x238, 4, 255).bytes};
  it.request.command_line = std::string(255, 'x');
  CHECK(it.load());
  it.request.command_line += "x";
  CHECK(it.load().error().code == errc::invalid_argument);
  it.request.command_line = std::string("a\0b", 3);
  CHECK(it.load().error().code == errc::invalid_argument);
}

TEST_CASE("load: device windows outside of the hole, on each other or on no line, are refused") {
  machine it{payload()};
  const auto code = [&](std::vector<memory::device_window> devices) {
    it.request.devices = std::move(devices);
    return it.load().error().code;
  };
  CHECK(code({{{0x1000000, 0x1000}, 5}}) == errc::invalid_argument);
  CHECK(code({{{gib(3) - 0x800, 0x1000}, 5}}) == errc::invalid_argument);
  CHECK(code({{{0xfebff000, 0x2000}, 5}}) == errc::invalid_argument);
  CHECK(code({{{0xd0000000, 0}, 5}}) == errc::invalid_argument);
  CHECK(code({{{0xd0000000, ~0ULL}, 5}}) == errc::invalid_argument);
  CHECK(code({{{0xd0000000, 0x1000}, 24}}) == errc::invalid_argument);
  CHECK(code({{{0xd0000000, 0x1000}, 5}, {{0xd0000800, 0x1000}, 6}}) == errc::invalid_argument);
}

TEST_CASE("load: processors, windows and RAM beyond the limits, are refused") {
  machine it{payload()};
  it.request.max_vcpus = layout::max_vcpus + 1;
  CHECK(it.load().error().code == errc::invalid_argument);
  it.request.by = discovery::mp_table_and_command_line;
  CHECK(it.load().error().code == errc::invalid_argument);
  const machine small{payload(), mib(1)};
  CHECK(small.load().error().code == errc::invalid_argument);
}

TEST_CASE("load: RAM that is not where the layout has it, is refused before it is touched") {
  const guest_ram elsewhere{mib(32), mib(1)};
  machine it{payload()};
  const auto refused = boot::load(it.request, *elsewhere.memory());
  CHECK(refused.error().code == errc::invalid_argument);
  CHECK(refused.error().text.starts_with("memory: "));
}

TEST_CASE("load: what is no kernel, is refused") {
  CHECK(machine{"#!/bin/sh\n"}.load().error().text == "kernel: neither an ELF file nor a bzImage");
  machine none{payload()};
  none.request.kernel = -1;
  CHECK(none.load().error().code == errc::host_io);
}
