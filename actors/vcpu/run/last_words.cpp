#include "actors/vcpu/run/last_words.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace troupe::vcpu {
namespace {

constexpr byte_count page = kib(4);

// Bytes of the guest's linear memory up to the first that is not mapped, or not RAM.
std::size_t read_linear(const kvm::vcpu& processor, const memory::guest_memory& ram,
                        std::uint64_t linear, std::span<std::byte> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const auto at = linear + done;
    const auto part =
        into.subspan(done, std::min<byte_count>(into.size() - done, page - at % page));
    const auto physical = processor.translate(at);
    if (!physical || !ram.read(*physical, part))
      break;
    done += part.size();
  }
  return done;
}

} // namespace

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const auto it : bytes)
    fmt::format_to(std::back_inserter(text), "{}{:02x}", text.empty() ? "" : " ",
                   std::to_integer<unsigned>(it));
  return text;
}

std::string describe(const kvm_regs& regs, const kvm_sregs& sregs) {
  std::string text = fmt::format("rip={:x} rflags={:x} rsp={:x} rbp={:x} rax={:x} rbx={:x} "
                                 "rcx={:x} rdx={:x} rsi={:x} rdi={:x}",
                                 regs.rip, regs.rflags, regs.rsp, regs.rbp, regs.rax, regs.rbx,
                                 regs.rcx, regs.rdx, regs.rsi, regs.rdi);
  fmt::format_to(std::back_inserter(text),
                 " r8={:x} r9={:x} r10={:x} r11={:x} r12={:x} r13={:x} r14={:x} r15={:x}", regs.r8,
                 regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15);
  fmt::format_to(std::back_inserter(text),
                 " cs={:x}/{:x} ss={:x} cr0={:x} cr2={:x} cr3={:x} cr4={:x} efer={:x}",
                 sregs.cs.selector, sregs.cs.base, sregs.ss.selector, sregs.cr0, sregs.cr2,
                 sregs.cr3, sregs.cr4, sregs.efer);
  return text;
}

std::string last_words(const kvm::vcpu& processor, const memory::guest_memory* ram,
                       std::span<const std::byte> instruction) {
  const auto regs = processor.regs();
  const auto sregs = processor.sregs();
  if (!regs || !sregs)
    return fmt::format("no registers: {}", regs ? sregs.error().text : regs.error().text);
  std::array<std::byte, kvm::max_instruction> read{};
  if (instruction.empty() && ram != nullptr)
    instruction =
        std::span{read}.first(read_linear(processor, *ram, sregs->cs.base + regs->rip, read));
  return fmt::format("{} code={}", describe(*regs, *sregs),
                     instruction.empty() ? "unreadable" : hex(instruction));
}

} // namespace troupe::vcpu
