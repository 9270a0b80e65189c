#include "actors/vcpu/arch/x86_64/cpuid.hpp"

#include "actors/vcpu/arch/x86_64/layout.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

namespace troupe::x86_64 {
namespace {

using entries = std::vector<kvm_cpuid_entry2>;

constexpr std::uint32_t bit(unsigned at) noexcept {
  return 1U << at;
}

// `value` in bits [low, low + width) of `word`.
constexpr std::uint32_t with_field(std::uint32_t word, unsigned low, unsigned width,
                                   std::uint32_t value) noexcept {
  const auto mask = (bit(width) - 1) << low;
  return (word & ~mask) | (std::min(value, bit(width) - 1) << low);
}

// Bits of an APIC id that tell `count` things apart.
constexpr std::uint32_t id_bits(std::uint32_t count) noexcept {
  return static_cast<std::uint32_t>(std::bit_width(count - 1));
}

// Caches and packages count ids, not processors: the next power of two, less one.
constexpr std::uint32_t ids_less_one(std::uint32_t count) noexcept {
  return bit(id_bits(count)) - 1;
}

enum class vendor : std::uint8_t { intel, amd };

kvm_cpuid_entry2* find(entries& all, std::uint32_t function) {
  const auto it = std::ranges::find(all, function, &kvm_cpuid_entry2::function);
  return it == all.end() ? nullptr : &*it;
}

template <class Change>
void change(entries& all, std::uint32_t function, Change what) {
  for (auto& it : all)
    if (it.function == function)
      what(it);
}

outcome<vendor> vendor_of(entries& all) {
  const auto* basic = find(all, 0);
  if (basic == nullptr || find(all, 1) == nullptr)
    return fail(errc::invalid_argument, "cpuid: leaves 0 and 1 are missing");
  std::string name(12, '\0');
  std::memcpy(name.data(), &basic->ebx, 4);
  std::memcpy(name.data() + 4, &basic->edx, 4);
  std::memcpy(name.data() + 8, &basic->ecx, 4);
  if (name == "GenuineIntel")
    return vendor::intel;
  if (name == "AuthenticAMD" || name == "HygonGenuine")
    return vendor::amd;
  std::ranges::replace_if(
      name, [](char c) { return c < ' ' || c > '~'; }, '?');
  return fail(errc::unimplemented, "cpuid: processors of vendor \"{}\"", name);
}

void set_features(entries& all, const cpu_identity& who) {
  change(all, 1, [&](kvm_cpuid_entry2& it) {
    constexpr std::uint32_t flush_line = 8; // In 8 bytes: 64.
    it.ebx = with_field(it.ebx, 8, 8, flush_line);
    it.ebx = with_field(it.ebx, 16, 8, who.cpus);
    it.ebx = with_field(it.ebx, 24, 8, who.apic_id);
    constexpr auto deadline = bit(24);
    it.ecx = (it.ecx & ~deadline) | bit(31) | (who.tsc_deadline ? deadline : 0);
    constexpr auto more_than_one = bit(28);
    it.edx = (it.edx & ~more_than_one) | (who.cpus > 1 ? more_than_one : 0);
  });
}

// Leaves 0xb and 0x1f have one form: a level per index, and a last one that says "no more".
void set_topology(entries& all, std::uint32_t function, const cpu_identity& who) {
  const auto known = find(all, function) != nullptr;
  std::erase_if(all, [&](const auto& it) { return it.function == function; });
  if (!known && find(all, 0)->eax < function)
    return;
  const auto add = [&](std::uint32_t index, std::uint32_t kind, std::uint32_t count) {
    kvm_cpuid_entry2 it{};
    it.function = function;
    it.index = index;
    it.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
    it.eax = kind == 0 ? 0 : id_bits(count);
    it.ebx = kind == 0 ? 0 : count;
    it.ecx = kind << 8 | index;
    it.edx = who.apic_id;
    all.push_back(it);
  };
  add(0, 1, who.threads_per_core);
  add(1, 2, who.cpus);
  add(2, 0, 0);
}

// One description of a cache, of leaf 4 or AMD's 0x8000001d: the last level is everybody's, the
// others belong to a core.
void set_sharing(kvm_cpuid_entry2& it, const cpu_identity& who) {
  const auto level = it.eax >> 5 & 7;
  it.eax = with_field(it.eax, 14, 12, ids_less_one(level < 3 ? who.threads_per_core : who.cpus));
}

void set_intel(entries& all, const cpu_identity& who) {
  change(all, 4, [&](kvm_cpuid_entry2& it) {
    constexpr std::uint32_t cache_type = 0x1f;
    if ((it.eax & cache_type) == 0)
      return;
    set_sharing(it, who);
    it.eax = with_field(it.eax, 26, 6, ids_less_one(who.cpus / who.threads_per_core));
  });
  change(all, 6, [](kvm_cpuid_entry2& it) {
    // Without ARAT a guest that has no second timer stays on a periodic tick.
    constexpr auto timer_always_runs = bit(2);
    it.eax &= timer_always_runs;
    it.ebx = it.ecx = it.edx = 0;
  });
  change(all, 0xa,
         [](kvm_cpuid_entry2& it) { it.eax = it.ebx = it.ecx = it.edx = 0; }); // Counters.
}

void set_amd(entries& all, const cpu_identity& who) {
  change(all, 7, [](kvm_cpuid_entry2& it) {
    constexpr auto arch_capabilities = bit(29); // An Intel MSR that KVM emulates everywhere.
    if (it.index == 0)
      it.edx &= ~arch_capabilities;
  });
  change(all, 0x80000000, [](kvm_cpuid_entry2& it) {
    constexpr std::uint32_t last_extended = 0x8000001f;
    it.eax = std::min(it.eax, last_extended);
  });
  const auto extended_topology = find(all, 0x8000001e) != nullptr;
  change(all, 0x80000001, [&](kvm_cpuid_entry2& it) {
    constexpr auto topology_extensions = bit(22);
    constexpr auto legacy_count = bit(1); // Leaf 1 counts cores.
    it.ecx &= ~(topology_extensions | legacy_count);
    it.ecx |= (extended_topology ? topology_extensions : 0) | (who.cpus > 1 ? legacy_count : 0);
  });
  change(all, 0x80000008, [&](kvm_cpuid_entry2& it) {
    it.ecx = with_field(it.ecx, 0, 8, who.cpus - 1);
    it.ecx = with_field(it.ecx, 12, 4, id_bits(who.cpus));
  });
  change(all, 0x8000001d, [&](kvm_cpuid_entry2& it) { set_sharing(it, who); });
  change(all, 0x8000001e, [&](kvm_cpuid_entry2& it) {
    it.eax = who.apic_id;
    it.ebx = (who.apic_id / who.threads_per_core) | (who.threads_per_core - 1) << 8;
    it.ecx = it.edx = 0; // One node.
  });
}

// Older KVMs leave it out although the processor has it.
void add_amd_leaf(entries& all, std::uint32_t function) {
  const auto* extended = find(all, 0x80000000);
  if (extended == nullptr || extended->eax < function || find(all, function) != nullptr)
    return;
  kvm_cpuid_entry2 it{};
  it.function = function;
  all.push_back(it);
}

outcome<void> check(const cpu_identity& who) {
  if (who.cpus == 0 || who.cpus > layout::max_vcpus)
    return fail(errc::invalid_argument, "cpuid: {} processors, 1 to {} are possible", who.cpus,
                layout::max_vcpus);
  if (who.apic_id >= who.cpus)
    return fail(errc::invalid_argument, "cpuid: APIC id {} of {} processors", who.apic_id,
                who.cpus);
  if (who.threads_per_core == 0 || who.threads_per_core > 2 || who.cpus % who.threads_per_core != 0)
    return fail(errc::invalid_argument, "cpuid: {} threads a core among {} processors",
                who.threads_per_core, who.cpus);
  return {};
}

} // namespace

outcome<entries> guest_cpuid(entries supported, const cpu_identity& who) {
  TRY(check(who));
  const auto whose = TRY(vendor_of(supported));
  set_features(supported, who);
  set_topology(supported, 0xb, who);
  set_topology(supported, 0x1f, who);
  if (whose == vendor::intel) {
    set_intel(supported, who);
  } else {
    add_amd_leaf(supported, 0x8000001e);
    set_amd(supported, who);
  }
  if (supported.size() > max_cpuid_entries)
    return fail(errc::invalid_argument, "cpuid: {} entries, at most {}", supported.size(),
                max_cpuid_entries);
  return supported;
}

} // namespace troupe::x86_64
