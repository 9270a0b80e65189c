// The loader on the kernel that our guests run; skipped where it is not built.
#include "actors/vcpu/arch/x86_64/layout.hpp"
#include "actors/vcpu/boot/load.hpp"
#include "tests/support/guest_ram.hpp"
#include "tests/support/product_kernel.hpp"
#include "tests/support/skip.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>

#include <cstdlib>
#include <string>

using namespace troupe;

namespace {

unique_fd kernel_or_skip() {
  const auto path = testing::product_kernel();
  unique_fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  testing::need(bool{fd}, path + " (guest/kernel/build makes it)");
  return fd;
}

} // namespace

TEST_CASE("real kernel: our product, has both entries and code at each") {
  const auto kernel = kernel_or_skip();
  const testing::guest_ram ram{mib(128)};
  boot::boot_request request;
  request.kernel = kernel.get();
  request.command_line = "quiet panic=-1";
  for (const auto how : {boot::protocol::pvh, boot::protocol::linux64}) {
    request.how = how;
    const auto plan = boot::load(request, *ram.memory());
    REQUIRE(plan);
    CHECK(plan->kernel.start >= x86_64::layout::high_ram);
    CHECK(plan->kernel.size > mib(4));
    CHECK((plan->entry.mode == x86_64::entry_mode::protected_mode) == (how == boot::protocol::pvh));
    CHECK(ram.get<std::uint64_t>(plan->entry.instruction) != 0);
  }
}

TEST_CASE("real kernel: in a machine that is too small for it, is refused by its segment") {
  const auto kernel = kernel_or_skip();
  const testing::guest_ram ram{mib(16)};
  boot::boot_request request;
  request.kernel = kernel.get();
  const auto refused = boot::load(request, *ram.memory());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text.find("p_paddr") != std::string::npos);
}
