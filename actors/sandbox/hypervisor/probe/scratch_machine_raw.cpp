#include "actors/sandbox/hypervisor/probe/scratch_machine_raw.hpp"

#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <utility>

// By hand, not with actors/vcpu/kvm: that refuses a KVM which lacks anything that our own VMM
// needs, and what is found here decides about QEMU as well, which needs less.

namespace troupe::hypervisor {
namespace {

constexpr std::uint32_t loop_turns = 3000;
constexpr int instructions_per_turn = 2;
/// One try may be preempted; the best of three is the machine.
constexpr int tries = 3;
constexpr double surely_fast_mips = 200;
constexpr std::size_t memory_size = 0x10000;
constexpr std::uint64_t code_at = 0x1000;
constexpr std::size_t turns_offset = 2;

/// 16-bit real mode: mov ecx, turns; 1: dec ecx; jnz 1b; out 0x80, al; popcnt ax, cx; out 0x80, al
constexpr std::array<std::uint8_t, 18> code{0x66, 0xb9, 0,    0,    0, 0, // turns go here
                                            0x66, 0x49, 0x75, 0xfc,       //
                                            0xe6, 0x80,                   //
                                            0xf3, 0x0f, 0xb8, 0xc1,       //
                                            0xe6, 0x80};

class mapping {
public:
  mapping() = default;
  mapping(void* at, std::size_t size) : at_(at == MAP_FAILED ? nullptr : at), size_(size) {}
  mapping(mapping&& other) noexcept : at_(std::exchange(other.at_, nullptr)), size_(other.size_) {}
  mapping& operator=(mapping&&) = delete;
  ~mapping() {
    if (at_ != nullptr)
      ::munmap(at_, size_);
  }
  [[nodiscard]] void* get() const noexcept { return at_; }

private:
  void* at_ = nullptr;
  std::size_t size_ = 0;
};

struct scratch {
  unique_fd machine;
  unique_fd processor;
  mapping memory;
  mapping run;
};

template <class... Argument>
outcome<int> call(std::string_view what, int fd, unsigned long request, Argument... argument) {
  const int result = ::ioctl(fd, request, argument...);
  if (result < 0)
    return fail_errno(what, errno);
  return result;
}

void write_code(void* memory) {
  auto* to = static_cast<std::uint8_t*>(memory) + code_at;
  std::memcpy(to, code.data(), code.size());
  std::memcpy(to + turns_offset, &loop_turns, sizeof loop_turns);
}

/// Memory before the processor, and no interrupt controller at all: the cheap order.
outcome<scratch> build(int kvm) {
  const auto shared =
      static_cast<std::size_t>(TRY(call("KVM_GET_VCPU_MMAP_SIZE", kvm, KVM_GET_VCPU_MMAP_SIZE, 0)));
  unique_fd machine{TRY(call("KVM_CREATE_VM", kvm, KVM_CREATE_VM, 0))};
  mapping memory{
      ::mmap(nullptr, memory_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
      memory_size};
  if (memory.get() == nullptr)
    return fail_errno("mmap guest memory", errno);
  write_code(memory.get());
  kvm_userspace_memory_region region{};
  region.memory_size = memory_size;
  region.userspace_addr = reinterpret_cast<std::uint64_t>(memory.get());
  TRY(call("KVM_SET_USER_MEMORY_REGION", machine.get(), KVM_SET_USER_MEMORY_REGION, &region));
  unique_fd processor{TRY(call("KVM_CREATE_VCPU", machine.get(), KVM_CREATE_VCPU, 0))};
  mapping run{::mmap(nullptr, shared, PROT_READ | PROT_WRITE, MAP_SHARED, processor.get(), 0),
              shared};
  if (run.get() == nullptr)
    return fail_errno("mmap kvm_run", errno);
  return scratch{std::move(machine), std::move(processor), std::move(memory), std::move(run)};
}

outcome<void> aim(int processor) {
  kvm_sregs special{};
  TRY(call("KVM_GET_SREGS", processor, KVM_GET_SREGS, &special));
  special.cs.base = 0;
  special.cs.selector = 0;
  TRY(call("KVM_SET_SREGS", processor, KVM_SET_SREGS, &special));
  kvm_regs registers{};
  registers.rip = code_at;
  registers.rflags = 2; // the bit that is always set
  TRY(call("KVM_SET_REGS", processor, KVM_SET_REGS, &registers));
  return {};
}

outcome<std::uint32_t> run_once(const scratch& machine) {
  TRY(call("KVM_RUN", machine.processor.get(), KVM_RUN, 0));
  return static_cast<const kvm_run*>(machine.run.get())->exit_reason;
}

/// Million instructions a second from the start of the loop to its OUT.
outcome<double> time_loop(const scratch& machine) {
  TRY(aim(machine.processor.get()));
  const auto before = monotonic_clock::now();
  const auto exit = TRY(run_once(machine));
  const std::chrono::duration<double, std::micro> took = monotonic_clock::now() - before;
  if (exit != KVM_EXIT_IO)
    return fail(errc::peer_fault, "KVM: the loop ended with exit {}", exit);
  return loop_turns * instructions_per_turn / std::max(took.count(), 0.001);
}

} // namespace

outcome<scratch_result> run_scratch_machine() {
  const unique_fd kvm{::open("/dev/kvm", O_RDWR | O_CLOEXEC)};
  if (!kvm && errno == ENOENT)
    return fail(errc::not_found, "there is no /dev/kvm");
  if (!kvm)
    return fail_errno("open /dev/kvm", errno);
  const int version = TRY(call("KVM_GET_API_VERSION", kvm.get(), KVM_GET_API_VERSION, 0));
  if (version != KVM_API_VERSION)
    return fail(errc::unimplemented, "KVM: API version {}, not {}", version, KVM_API_VERSION);
  const auto machine = TRY(build(kvm.get()));
  scratch_result result;
  for (int i = 0; i < tries && result.mips < surely_fast_mips; ++i)
    result.mips = std::max(result.mips, TRY(time_loop(machine)));
  if (const auto clock = call("KVM_GET_TSC_KHZ", machine.processor.get(), KVM_GET_TSC_KHZ, 0))
    result.tsc_khz = static_cast<std::uint32_t>(*clock);
  result.refuses_instructions = TRY(run_once(machine)) == KVM_EXIT_INTERNAL_ERROR;
  return result;
}

} // namespace troupe::hypervisor
