#include "actors/vcpu/arch/native.hpp"
#include "actors/vcpu/arch/x86_64/layout.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using namespace troupe;
namespace layout = x86_64::layout;

namespace {

std::string page() {
  std::ifstream file{TROUPE_SOURCE_DIR "/docs/memory_layout.md"};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// The lines of the first table behind `heading`, without its own head, up to the name.
std::vector<std::string> rows(const std::string& heading) {
  const auto text = page();
  std::vector<std::string> found;
  auto at = text.find("\n|---", text.find("\n## " + heading + "\n"));
  REQUIRE(at != std::string::npos);
  for (at = text.find('\n', at + 1) + 1; text[at] == '|'; at = text.find('\n', at) + 1) {
    const auto line = text.substr(at, text.find('\n', at) - at);
    found.push_back(line.substr(0, line.rfind('`') + 1));
  }
  return found;
}

} // namespace

TEST_CASE("docs/memory_layout.md: has every address, and no other") {
  std::vector<std::string> expected;
  for (const auto& [name, range] : layout::ranges)
    expected.push_back(fmt::format("| {:#x} | {:#x} | `{}`", range.start, range.end(), name));
  CHECK(rows("Addresses") == expected);
}

TEST_CASE("docs/memory_layout.md: has every interrupt line, and no other") {
  std::vector<std::string> expected;
  for (const auto& [name, first, last] : layout::lines)
    expected.push_back(fmt::format("| {} | {} | `{}`", first, last, name));
  CHECK(rows("Interrupt lines") == expected);
}

TEST_CASE("docs/memory_layout.md: has every port, and no other") {
  std::vector<std::string> expected;
  for (const auto& [name, first, last] : layout::ports)
    expected.push_back(fmt::format("| {:#x} | {:#x} | `{}`", first, last, name));
  CHECK(rows("Ports") == expected);
}

TEST_CASE("layout: its ranges, ascend and are disjoint") {
  for (std::size_t i = 1; i < layout::ranges.size(); ++i) {
    CAPTURE(layout::ranges[i].name);
    CHECK(layout::ranges[i - 1].range.end() <= layout::ranges[i].range.start);
  }
}

TEST_CASE("layout: RAM around the hole, in one range or two") {
  CHECK(layout::ram(mib(64)) == std::vector<memory::address_range>{{0, mib(64)}});
  CHECK(layout::ram(gib(3)) == std::vector<memory::address_range>{{0, gib(3)}});
  CHECK(layout::ram(gib(3) + kib(4)) ==
        std::vector<memory::address_range>{{0, gib(3)}, {gib(4), kib(4)}});
  CHECK(layout::hotplug_ram(mib(64)) == gib(4));
  CHECK(layout::hotplug_ram(gib(4)) == gib(6)); // Its last GiB ends at 5 GiB.
}

TEST_CASE("layout: the windows of devices, have a line each until lines run out") {
  CHECK(layout::virtio_slot(0) == memory::device_window{{0xd0000000, 0x1000}, 5});
  CHECK(layout::virtio_slot(17) == memory::device_window{{0xd0011000, 0x1000}, 22});
  CHECK(layout::virtio_slot(18) == memory::device_window{{0xd0012000, 0x1000}, 5});
  CHECK(layout::virtio_slot(layout::virtio_mmio_slots - 1).registers.end() <= layout::hotplug);
}

TEST_CASE("aarch64: the first registers, are those that Linux wants") {
  const auto set = aarch64::registers({0x80000000, aarch64::layout::device_tree(gib(1))});
  CHECK(set[0] == aarch64::register_value{0x6030000000100042, 0x3c5});      // PSTATE
  CHECK(set[1] == aarch64::register_value{0x6030000000100040, 0x80000000}); // PC
  CHECK(set[2] == aarch64::register_value{0x6030000000100000, 0xbfe00000}); // x0
  CHECK(arch::aarch64_machine::virtio_slot(1) == memory::device_window{{0x40001000, 0x1000}, 33});
}
