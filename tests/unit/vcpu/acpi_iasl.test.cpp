// Another reader of our tables: Intel's compiler takes each apart and must make the same bytes of
// what it has read.
#include "actors/vcpu/acpi/tables.hpp"
#include "actors/vcpu/arch/x86_64/layout.hpp"
#include "tests/support/scratch.hpp"
#include "tests/support/skip.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using namespace troupe;
namespace layout = x86_64::layout;

namespace {

std::vector<char> read(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// What iasl makes of its own disassembly of `table`; it must have nothing to complain of.
std::vector<char> there_and_back(const test::scratch_folder& folder,
                                 const std::vector<std::byte>& table) {
  const auto chars = std::as_bytes(std::span{table});
  std::vector<char> out;
  for (const auto it : chars)
    out.push_back(static_cast<char>(it));
  std::ofstream{folder.file("in.aml"), std::ios::binary}.write(
      out.data(), static_cast<std::streamsize>(out.size()));
  const auto command =
      "cd " + folder.path() + " && iasl -d in.aml >log 2>&1 && iasl -p out in.dsl >>log 2>&1";
  const auto status = std::system(command.c_str());
  const auto log = read(folder.file("log"));
  const std::string said{log.begin(), log.end()};
  CAPTURE(said);
  REQUIRE(status == 0);
  CHECK(said.find("0 Errors, 0 Warnings") != std::string::npos);
  CHECK(said.find("Invalid") == std::string::npos);
  CHECK(said.find("ncorrect") == std::string::npos);
  return read(folder.file("out.aml"));
}

// The compiler signs with its own name and version, which changes the checksum too.
std::vector<char> unsigned_copy(std::vector<char> table) {
  REQUIRE(table.size() >= 36);
  table[9] = 0;
  std::fill(table.begin() + 28, table.begin() + 36, '\0');
  return table;
}

void check_round_trip(const std::vector<std::byte>& table) {
  testing::need(std::system("command -v iasl >/dev/null") == 0, "iasl (package acpica-tools)");
  const test::scratch_folder folder;
  const auto back = there_and_back(folder, table);
  CHECK(unsigned_copy(back) == unsigned_copy(read(folder.file("in.aml"))));
}

const std::vector<memory::device_window> devices{layout::virtio_slot(0), layout::virtio_slot(1),
                                                 layout::virtio_slot(18)};
const acpi::machine machine{2, 4, devices, {true, true, true, true}};

} // namespace

TEST_CASE("iasl: our DSDT, is what it would compile") {
  check_round_trip(acpi::dsdt(machine));
}

TEST_CASE("iasl: our DSDT of the largest machine, is what it would compile") {
  std::vector<memory::device_window> all;
  for (std::uint32_t slot = 0; slot < layout::virtio_mmio_slots; ++slot)
    all.push_back(layout::virtio_slot(slot));
  check_round_trip(acpi::dsdt({1, 1, all, {true, true}}));
}

TEST_CASE("iasl: our MADT, is what it would compile") {
  check_round_trip(acpi::madt(machine));
}

TEST_CASE("iasl: our FADT, is what it would compile") {
  check_round_trip(acpi::fadt(machine, layout::acpi + 0x40));
}

TEST_CASE("iasl: our XSDT, is what it would compile") {
  check_round_trip(acpi::xsdt(std::array<gpa, 2>{layout::acpi + 0x400, layout::acpi + 0x800}));
}
