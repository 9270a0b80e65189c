#include "tools/bench/bare_kvm.hpp"

#include "actors/vcpu/arch/x86_64/cpuid.hpp"
#include "actors/vcpu/arch/x86_64/entry.hpp"
#include "actors/vcpu/kvm/call.hpp"
#include "actors/vcpu/kvm/system.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace troupe::bench {
namespace {

using kvm::call;

/// Below 4 GiB, where no memory is.
constexpr unsigned long task_state_at = 0xfffbd000;
constexpr x86_64::entry kernel_entry{x86_64::entry_mode::long_mode, mib(16)};

kvm_segment flat(std::uint8_t type, std::uint16_t selector) {
  kvm_segment out{};
  out.limit = 0xffffffff;
  out.selector = selector;
  out.type = type;
  out.present = out.db = out.s = out.g = 1;
  return out;
}

outcome<unique_fd> make_event() {
  unique_fd out{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!out)
    return fail_errno("eventfd", errno);
  return out;
}

} // namespace

outcome<kernel_state> kernel_state::make() {
  const auto host = TRY(kvm::system::open());
  const auto leaves = TRY(x86_64::guest_cpuid(TRY(host.supported_cpuid()), {}));
  const auto msrs = x86_64::boot_msrs();
  return kernel_state{cpuid_list{std::span{leaves}}, msr_list{std::span{msrs}}};
}

outcome<void> kernel_state::give_to(int processor) {
  TRY(call("KVM_SET_CPUID2", processor, kvm::abi::set_cpuid2, cpuid_.data()));
  const auto lapic = TRY(kvm::fetch<kvm_lapic_state>("KVM_GET_LAPIC", processor, KVM_GET_LAPIC));
  TRY(kvm::put("KVM_SET_LAPIC", processor, KVM_SET_LAPIC, x86_64::with_local_interrupts(lapic)));
  TRY(call("KVM_SET_MSRS", processor, kvm::abi::set_msrs, msrs_.data()));
  TRY(kvm::put("KVM_SET_FPU", processor, KVM_SET_FPU, x86_64::float_registers()));
  const auto special = TRY(kvm::fetch<kvm_sregs>("KVM_GET_SREGS", processor, KVM_GET_SREGS));
  TRY(kvm::put("KVM_SET_SREGS", processor, KVM_SET_SREGS,
               x86_64::system_registers(special, kernel_entry)));
  return kvm::put("KVM_SET_REGS", processor, KVM_SET_REGS, x86_64::registers(kernel_entry));
}

outcome<bare_kvm> bare_kvm::make(const order& what) {
  bare_kvm out;
  out.kvm_ = unique_fd{::open("/dev/kvm", O_RDWR | O_CLOEXEC)};
  if (!out.kvm_)
    return fail_errno("open /dev/kvm", errno);
  out.machine_ = unique_fd{TRY(call("KVM_CREATE_VM", out.kvm_.get(), KVM_CREATE_VM, 0))};
  TRY(out.make_memory(what.memory));
  TRY(call("KVM_SET_TSS_ADDR", out.machine_.get(), KVM_SET_TSS_ADDR, task_state_at));
  if (what.lines > 0)
    TRY(call("KVM_CREATE_IRQCHIP", out.machine_.get(), KVM_CREATE_IRQCHIP, 0));
  TRY(out.make_processor());
  TRY(out.bind(what));
  if (what.state != nullptr)
    TRY(what.state->give_to(out.processor_.get()));
  return out;
}

bare_kvm::~bare_kvm() {
  if (shared_ != nullptr && processor_)
    ::munmap(shared_, shared_size_);
  if (!memory_.empty() && machine_)
    ::munmap(memory_.data(), memory_.size());
}

outcome<void> bare_kvm::make_memory(byte_count size) {
  file_ = unique_fd{::memfd_create("ram", MFD_CLOEXEC)};
  if (!file_ || ::ftruncate(file_.get(), static_cast<off_t>(size)) != 0)
    return fail_errno("memfd", errno);
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (at == MAP_FAILED)
    return fail_errno("mmap memory", errno);
  memory_ = {static_cast<std::byte*>(at), size};
  kvm_userspace_memory_region slot{};
  slot.memory_size = size;
  std::memcpy(&slot.userspace_addr, &at, sizeof at);
  return kvm::put("KVM_SET_USER_MEMORY_REGION", machine_.get(), KVM_SET_USER_MEMORY_REGION, slot);
}

outcome<void> bare_kvm::make_processor() {
  processor_ = unique_fd{TRY(call("KVM_CREATE_VCPU", machine_.get(), KVM_CREATE_VCPU, 0))};
  shared_size_ = static_cast<std::size_t>(
      TRY(call("KVM_GET_VCPU_MMAP_SIZE", kvm_.get(), KVM_GET_VCPU_MMAP_SIZE, 0)));
  void* at = ::mmap(nullptr, shared_size_, PROT_READ | PROT_WRITE, MAP_SHARED, processor_.get(), 0);
  if (at == MAP_FAILED)
    return fail_errno("mmap kvm_run", errno);
  shared_ = static_cast<kvm_run*>(at);
  return {};
}

outcome<void> bare_kvm::bind(const order& what) {
  for (std::uint32_t i = 0; i < what.doorbells; ++i) {
    doorbells_.push_back(TRY(make_event()));
    kvm_ioeventfd bell{};
    bell.addr = device_at + 4 * i;
    bell.len = 4;
    bell.fd = doorbells_.back().get();
    bell.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
    TRY(kvm::put("KVM_IOEVENTFD", machine_.get(), KVM_IOEVENTFD, bell));
  }
  for (std::uint32_t i = 0; i < what.lines; ++i) {
    lines_.push_back(TRY(make_event()));
    kvm_irqfd line{};
    line.fd = static_cast<std::uint32_t>(lines_.back().get());
    line.gsi = 4 + i;
    TRY(kvm::put("KVM_IRQFD", machine_.get(), KVM_IRQFD, line));
  }
  return {};
}

outcome<void> bare_kvm::aim(std::span<const std::uint8_t> code) {
  std::ranges::copy(std::as_bytes(code), memory_.begin() + code_at);
  auto special = TRY(kvm::fetch<kvm_sregs>("KVM_GET_SREGS", processor_.get(), KVM_GET_SREGS));
  special.cr0 |= 1; // protected mode
  special.cs = flat(11, 8);
  special.ds = special.es = special.fs = special.gs = special.ss = flat(3, 16);
  special.idt = {};
  TRY(kvm::put("KVM_SET_SREGS", processor_.get(), KVM_SET_SREGS, special));
  kvm_regs registers{};
  registers.rip = code_at;
  registers.rflags = 2; // the bit that is always set
  return kvm::put("KVM_SET_REGS", processor_.get(), KVM_SET_REGS, registers);
}

outcome<std::uint32_t> bare_kvm::run() const {
  TRY(call("KVM_RUN", processor_.get(), KVM_RUN, 0));
  return shared_->exit_reason;
}

} // namespace troupe::bench
