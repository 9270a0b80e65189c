#include "actors/vcpu/kvm/vcpu.hpp"

#include "actors/vcpu/kvm/abi.hpp"
#include "actors/vcpu/kvm/call.hpp"
#include "actors/vcpu/kvm/system.hpp"

namespace troupe::kvm {
namespace {

using cpuid_list = abi::counted<abi::counted_head, kvm_cpuid_entry2>;
using msr_entries = abi::counted<abi::counted_head, kvm_msr_entry>;

// The kernel does them in order and answers how many it did.
outcome<void> all_done(std::string_view what, int done, std::span<const kvm_msr_entry> wanted) {
  const auto count = static_cast<std::size_t>(done);
  if (count < wanted.size())
    return fail(errc::host_io, "{}: MSR {:#x} (entry {} of {}) is refused", what,
                wanted[count].index, count, wanted.size());
  return {};
}

outcome<void> check_count(std::size_t count) {
  if (count > max_msrs)
    return fail(errc::invalid_argument, "MSRs: {} are over {}", count, max_msrs);
  return {};
}

} // namespace

outcome<run_result> vcpu::run() {
  if (::ioctl(fd_.get(), KVM_RUN, 0) == 0)
    return run_result::exited;
  if (errno == EINTR)
    return run_result::interrupted;
  if (errno == EAGAIN)
    return run_result::again;
  return fail_errno(fmt::format("KVM_RUN of vcpu{}", id_), errno);
}

outcome<kvm_regs> vcpu::regs() const {
  return fetch<kvm_regs>("KVM_GET_REGS", fd_.get(), KVM_GET_REGS);
}
outcome<void> vcpu::set_regs(const kvm_regs& value) {
  return put("KVM_SET_REGS", fd_.get(), KVM_SET_REGS, value);
}
outcome<kvm_sregs> vcpu::sregs() const {
  return fetch<kvm_sregs>("KVM_GET_SREGS", fd_.get(), KVM_GET_SREGS);
}
outcome<void> vcpu::set_sregs(const kvm_sregs& value) {
  return put("KVM_SET_SREGS", fd_.get(), KVM_SET_SREGS, value);
}
outcome<kvm_fpu> vcpu::fpu() const {
  return fetch<kvm_fpu>("KVM_GET_FPU", fd_.get(), KVM_GET_FPU);
}
outcome<void> vcpu::set_fpu(const kvm_fpu& value) {
  return put("KVM_SET_FPU", fd_.get(), KVM_SET_FPU, value);
}
outcome<kvm_lapic_state> vcpu::lapic() const {
  return fetch<kvm_lapic_state>("KVM_GET_LAPIC", fd_.get(), KVM_GET_LAPIC);
}
outcome<void> vcpu::set_lapic(const kvm_lapic_state& value) {
  return put("KVM_SET_LAPIC", fd_.get(), KVM_SET_LAPIC, value);
}
outcome<kvm_mp_state> vcpu::mp_state() const {
  return fetch<kvm_mp_state>("KVM_GET_MP_STATE", fd_.get(), KVM_GET_MP_STATE);
}
outcome<void> vcpu::set_mp_state(const kvm_mp_state& value) {
  return put("KVM_SET_MP_STATE", fd_.get(), KVM_SET_MP_STATE, value);
}
outcome<kvm_vcpu_events> vcpu::events() const {
  return fetch<kvm_vcpu_events>("KVM_GET_VCPU_EVENTS", fd_.get(), KVM_GET_VCPU_EVENTS);
}
outcome<void> vcpu::set_events(const kvm_vcpu_events& value) {
  return put("KVM_SET_VCPU_EVENTS", fd_.get(), KVM_SET_VCPU_EVENTS, value);
}
outcome<kvm_debugregs> vcpu::debugregs() const {
  return fetch<kvm_debugregs>("KVM_GET_DEBUGREGS", fd_.get(), KVM_GET_DEBUGREGS);
}
outcome<void> vcpu::set_debugregs(const kvm_debugregs& value) {
  return put("KVM_SET_DEBUGREGS", fd_.get(), KVM_SET_DEBUGREGS, value);
}
outcome<kvm_xcrs> vcpu::xcrs() const {
  return fetch<kvm_xcrs>("KVM_GET_XCRS", fd_.get(), KVM_GET_XCRS);
}
outcome<void> vcpu::set_xcrs(const kvm_xcrs& value) {
  return put("KVM_SET_XCRS", fd_.get(), KVM_SET_XCRS, value);
}

outcome<std::vector<std::byte>> vcpu::xsave() const {
  std::vector<std::byte> area(xsave_size_);
  // The older call always writes the size of its struct, the newer one what the kernel has.
  const bool older = xsave_size_ == sizeof(abi::xsave_head);
  TRY(call("KVM_GET_XSAVE", fd_.get(), older ? abi::get_xsave : abi::get_xsave2, area.data()));
  return area;
}

outcome<void> vcpu::set_xsave(std::span<const std::byte> area) {
  if (area.size() != xsave_size_)
    return fail(errc::invalid_argument, "XSAVE area: {} bytes, not {}", area.size(), xsave_size_);
  TRY(call("KVM_SET_XSAVE", fd_.get(), abi::set_xsave, area.data()));
  return {};
}

outcome<void> vcpu::set_cpuid(std::span<const kvm_cpuid_entry2> entries) {
  if (entries.size() > max_cpuid_entries)
    return fail(errc::invalid_argument, "CPUID: {} leaves are over {}", entries.size(),
                max_cpuid_entries);
  cpuid_list list{entries};
  TRY(call("KVM_SET_CPUID2", fd_.get(), abi::set_cpuid2, list.data()));
  return {};
}

outcome<std::vector<kvm_cpuid_entry2>> vcpu::cpuid() const {
  cpuid_list list{max_cpuid_entries};
  TRY(call("KVM_GET_CPUID2", fd_.get(), abi::get_cpuid2, list.data()));
  return list.entries();
}

outcome<std::vector<kvm_msr_entry>> vcpu::msrs(std::span<const std::uint32_t> indices) const {
  TRY(check_count(indices.size()));
  std::vector<kvm_msr_entry> wanted;
  for (const auto index : indices)
    wanted.push_back({index, 0, 0});
  msr_entries list{std::span<const kvm_msr_entry>{wanted}};
  const int done = TRY(call("KVM_GET_MSRS", fd_.get(), abi::get_msrs, list.data()));
  TRY(all_done("KVM_GET_MSRS", done, wanted));
  return list.entries();
}

outcome<void> vcpu::set_msrs(std::span<const kvm_msr_entry> entries) {
  TRY(check_count(entries.size()));
  msr_entries list{entries};
  const int done = TRY(call("KVM_SET_MSRS", fd_.get(), abi::set_msrs, list.data()));
  return all_done("KVM_SET_MSRS", done, entries);
}

outcome<void> vcpu::kvmclock_ctrl() {
  const auto done = call("KVM_KVMCLOCK_CTRL", fd_.get(), KVM_KVMCLOCK_CTRL, 0);
  if (!done && done.error().os_error != EINVAL) // The guest has no such clock.
    return tl::unexpected(done.error());
  return {};
}

outcome<std::uint64_t> vcpu::translate(std::uint64_t linear) const {
  kvm_translation it{};
  it.linear_address = linear;
  TRY(call("KVM_TRANSLATE", fd_.get(), KVM_TRANSLATE, &it));
  if (it.valid == 0)
    return fail(errc::guest_fault, "linear address {:#x} is not mapped", linear);
  return it.physical_address;
}

} // namespace troupe::kvm
