#include "actors/vcpu/boot/bzimage.hpp"
#include "actors/vcpu/boot/linux_header.hpp"
#include "actors/vcpu/boot/zero_page.hpp"
#include "tests/fuzz/vcpu/kernel_fuzz.hpp"

// A kernel somebody gave us: a bzImage with any header, which goes on into boot_params.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe::boot;
  static troupe::testing::kernel_bed bed;
  const auto file = bed.file_of(data, size);
  if (!file)
    return 0;
  const auto found = load_bzimage(*file, bed.ram(), troupe::testing::kernel_room);
  bed.check(found);
  if (found && zero_page({}, found->setup_header).size() != linux_header::boot_params_size)
    std::abort();
  return 0;
}
