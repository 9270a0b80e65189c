#include "actors/vcpu/kvm/run_page_raw.hpp"

#include <linux/kvm.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace troupe::kvm {
namespace {

outcome<exit_event> decode_port(const kvm_run& run, std::span<std::byte> page) {
  const auto& io = run.io;
  const std::size_t size = std::size_t{io.size} * io.count; // 8 by 32 bits: exact.
  if (io.size != 1 && io.size != 2 && io.size != 4)
    return fail(errc::peer_fault, "KVM_EXIT_IO: port {:#x}: width {}", io.port, io.size);
  if (io.data_offset > page.size() || size > page.size() - io.data_offset)
    return fail(errc::peer_fault, "KVM_EXIT_IO: port {:#x}: {} times {} bytes at {:#x}", io.port,
                io.count, io.size, io.data_offset);
  return port_exit{io.port, io.direction == KVM_EXIT_IO_IN, io.size,
                   page.subspan(io.data_offset, size)};
}

outcome<exit_event> decode_memory(kvm_run& run) {
  auto& mmio = run.mmio;
  if (mmio.len > sizeof(mmio.data))
    return fail(errc::peer_fault, "KVM_EXIT_MMIO: {:#x}: {} bytes", mmio.phys_addr, mmio.len);
  return memory_exit{mmio.phys_addr, mmio.is_write != 0,
                     std::as_writable_bytes(std::span{mmio.data}.first(mmio.len))};
}

// Bit 0 of the flags and the layout are ABI, see "emulation_failure" in <linux/kvm.h>.
internal_error_exit decode_internal_error(const kvm_run& run) {
  internal_error_exit it;
  it.suberror = run.internal.suberror;
  it.data_count = std::min<std::size_t>(run.internal.ndata, it.data.size());
  std::copy_n(std::begin(run.internal.data), it.data_count, it.data.begin());
  const auto& failed = run.emulation_failure;
  if (it.suberror == KVM_INTERNAL_ERROR_EMULATION && it.data_count >= 3 &&
      (failed.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0) {
    it.instruction_size = std::min<std::size_t>(failed.insn_size, max_instruction);
    std::copy_n(std::as_bytes(std::span{failed.insn_bytes}).begin(), it.instruction_size,
                it.instruction.begin());
  }
  return it;
}

} // namespace

outcome<exit_event> decode_exit(std::span<std::byte> page) {
  if (page.size() < sizeof(kvm_run))
    return fail(errc::peer_fault, "kvm_run: {} bytes", page.size());
  // The kernel writes a kvm_run there; the mapping is page-aligned.
  auto& run = *reinterpret_cast<kvm_run*>(page.data());
  switch (run.exit_reason) {
  case KVM_EXIT_IO:
    return decode_port(run, page);
  case KVM_EXIT_MMIO:
    return decode_memory(run);
  case KVM_EXIT_HLT:
    return halt_exit{};
  case KVM_EXIT_IRQ_WINDOW_OPEN:
    return irq_window_exit{};
  case KVM_EXIT_INTR:
    return signal_exit{};
  case KVM_EXIT_SHUTDOWN:
    return shutdown_exit{};
  case KVM_EXIT_FAIL_ENTRY:
    return refused_entry_exit{run.fail_entry.hardware_entry_failure_reason, run.fail_entry.cpu};
  case KVM_EXIT_INTERNAL_ERROR:
    return decode_internal_error(run);
  case KVM_EXIT_SYSTEM_EVENT:
    return system_event_exit{run.system_event.type, run.system_event.flags};
  default:
    return unexpected_exit{run.exit_reason};
  }
}

outcome<run_page> run_page::map(int fd, std::size_t size) {
  void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED)
    return fail_errno("map kvm_run", errno);
  return run_page{{static_cast<std::byte*>(at), size}};
}

run_page::~run_page() {
  if (!bytes_.empty())
    ::munmap(bytes_.data(), bytes_.size());
}

void run_page::set_immediate_exit(bool on) noexcept {
  auto& run = *reinterpret_cast<kvm_run*>(bytes_.data());
  std::atomic_ref{run.immediate_exit}.store(on ? 1 : 0, std::memory_order_seq_cst);
}

} // namespace troupe::kvm
