#include "actors/vcpu/boot/elf.hpp"
#include "tests/fuzz/vcpu/kernel_fuzz.hpp"

// A kernel somebody gave us: an ELF file with any headers and notes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static troupe::testing::kernel_bed bed;
  const auto file = bed.file_of(data, size);
  if (!file)
    return 0;
  const auto found = troupe::boot::load_elf(*file, bed.ram(), troupe::testing::kernel_room);
  bed.check(found);
  if (found && found->pvh_entry && !found->image.contains(*found->pvh_entry, 1))
    std::abort();
  return 0;
}
