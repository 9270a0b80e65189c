#include "actors/vcpu/arch/x86_64/cpuid.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <string_view>

using namespace troupe;
using x86_64::cpu_identity;
using x86_64::guest_cpuid;
using entries = std::vector<kvm_cpuid_entry2>;

namespace {

kvm_cpuid_entry2 leaf(std::uint32_t function, std::uint32_t index = 0, std::uint32_t all = 0) {
  kvm_cpuid_entry2 it{};
  it.function = function;
  it.index = index;
  it.eax = it.ebx = it.ecx = it.edx = all;
  return it;
}

// What both kinds of hosts have: a name, features, a brand, KVM's own leaves.
entries host(std::string_view vendor, std::uint32_t last_basic) {
  auto basic = leaf(0);
  basic.eax = last_basic;
  std::memcpy(&basic.ebx, vendor.data(), 4);
  std::memcpy(&basic.edx, vendor.data() + 4, 4);
  std::memcpy(&basic.ecx, vendor.data() + 8, 4);
  auto signature = leaf(0x40000000);
  std::memcpy(&signature.ebx, "KVMKVMKVM\0\0\0", 12);
  return {
      basic,     leaf(1, 0, 0x00010001), leaf(7, 0, 0xffffffff),         leaf(0xb, 0, 0x77777777),
      signature, leaf(0x40000001),       leaf(0x80000002, 0, 0x6e6f6558)};
}

entries intel_host() {
  auto all = host("GenuineIntel", 0x1f);
  auto first_level = leaf(4, 0);
  first_level.eax = 0xfc01c121; // L1 data, of a host of 64 cores with 8 ids a cache.
  auto last_level = leaf(4, 3);
  last_level.eax = 0xfc0fc163;
  all.insert(all.end(), {first_level, last_level, leaf(4, 4), leaf(6, 0, 0xff), leaf(0xa, 0, 8)});
  return all;
}

entries amd_host(std::string_view vendor = "AuthenticAMD") {
  auto all = host(vendor, 0x10);
  auto extended = leaf(0x80000000);
  extended.eax = 0x80000021;
  auto last_level = leaf(0x8000001d, 3);
  last_level.eax = 0x0003c163;
  all.insert(all.end(), {extended, leaf(0x80000001), leaf(0x80000008, 0, 0x3030), last_level});
  return all;
}

const kvm_cpuid_entry2& at(const entries& all, std::uint32_t function, std::uint32_t index = 0) {
  const auto it = std::ranges::find_if(
      all, [&](const auto& one) { return one.function == function && one.index == index; });
  REQUIRE(it != all.end());
  return *it;
}

constexpr cpu_identity third_of_six{2, 6, 2, true};

} // namespace

TEST_CASE("cpuid: any vendor, sees a hypervisor, its own APIC id and the guest's topology") {
  for (const auto& host : {intel_host(), amd_host(), amd_host("HygonGenuine")}) {
    const auto all = guest_cpuid(host, third_of_six).value();
    const auto& features = at(all, 1);
    CHECK(features.ebx >> 24 == 2);
    CHECK((features.ebx >> 16 & 0xff) == 6);
    CHECK((features.ebx >> 8 & 0xff) == 8);
    CHECK((features.ecx >> 31) == 1);
    CHECK((features.ecx >> 24 & 1) == 1);
    CHECK((features.edx >> 28 & 1) == 1);
    CHECK(at(all, 0xb, 0).eax == 1); // Bits of the thread.
    CHECK(at(all, 0xb, 0).ebx == 2);
    CHECK(at(all, 0xb, 0).ecx == 0x100);
    CHECK(at(all, 0xb, 1).eax == 3); // Bits of the whole id: six need three.
    CHECK(at(all, 0xb, 1).ebx == 6);
    CHECK(at(all, 0xb, 1).ecx == 0x201);
    CHECK(at(all, 0xb, 2).ebx == 0);
    CHECK(at(all, 0xb, 2).edx == 2);
    CHECK(at(all, 0xb, 1).flags == KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
  }
}

TEST_CASE("cpuid: the host's brand and KVM's own leaves, stay") {
  const auto all = guest_cpuid(intel_host(), third_of_six).value();
  CHECK(at(all, 0x80000002).eax == 0x6e6f6558);
  CHECK(std::memcmp(&at(all, 0x40000000).ebx, "KVMKVMKVM\0\0\0", 12) == 0);
  at(all, 0x40000001);
}

TEST_CASE("cpuid: one processor, is not told of threads, nor of a deadline timer it lacks") {
  const auto all = guest_cpuid(intel_host(), {0, 1, 1, false}).value();
  CHECK((at(all, 1).edx >> 28 & 1) == 0);
  CHECK((at(all, 1).ecx >> 24 & 1) == 0);
  CHECK((at(all, 1).ebx >> 16 & 0xff) == 1);
  CHECK(at(all, 0xb, 0).eax == 0);
  CHECK(at(all, 0xb, 1).eax == 0);
  CHECK(at(all, 0xb, 1).ebx == 1);
}

TEST_CASE("cpuid: Intel, has caches by core and package, no counters, no sensors") {
  const auto all = guest_cpuid(intel_host(), third_of_six).value();
  CHECK((at(all, 4, 0).eax >> 14 & 0xfff) == 1); // Two threads.
  CHECK((at(all, 4, 3).eax >> 14 & 0xfff) == 7); // Six, rounded up to ids.
  CHECK(at(all, 4, 0).eax >> 26 == 3);           // Three cores, rounded up.
  CHECK((at(all, 4, 0).eax & 0x3fff) == 0x0121);
  CHECK(at(all, 4, 4).eax == 0); // "No more caches" stays that.
  CHECK(at(all, 6).eax == 4);    // The timer runs in every state.
  CHECK(at(all, 6).ecx == 0);
  CHECK(at(all, 0xa).eax == 0);
  CHECK(at(all, 0x1f, 1).ebx == 6); // The host's last leaf is 0x1f.
  CHECK(at(all, 7).edx == 0xffffffff);
}

TEST_CASE("cpuid: AMD, has its own leaves for cores, ids and caches") {
  const auto all = guest_cpuid(amd_host(), third_of_six).value();
  CHECK(at(all, 0x80000000).eax == 0x8000001f);
  CHECK((at(all, 0x80000001).ecx >> 22 & 1) == 1);
  CHECK((at(all, 0x80000001).ecx >> 1 & 1) == 1);
  CHECK(at(all, 0x80000008).ecx == 0x3005);
  CHECK((at(all, 0x8000001d, 3).eax >> 14 & 0xfff) == 7);
  CHECK(at(all, 0x8000001e).eax == 2);
  CHECK(at(all, 0x8000001e).ebx == 0x101); // Core 1, two threads in it.
  CHECK((at(all, 7).edx >> 29 & 1) == 0);
  CHECK(std::ranges::count(all, 0x1fU, &kvm_cpuid_entry2::function) == 0);
}

TEST_CASE("cpuid: AMD without the leaf of extended ids, is not promised it") {
  auto host = amd_host();
  std::ranges::find(host, 0x80000000, &kvm_cpuid_entry2::function)->eax = 0x8000001a;
  const auto all = guest_cpuid(host, third_of_six).value();
  CHECK((at(all, 0x80000001).ecx >> 22 & 1) == 0);
}

TEST_CASE("cpuid: another vendor, is refused by name") {
  const auto refused = guest_cpuid(host("CentaurHauls", 0xb), third_of_six);
  CHECK(refused.error().code == errc::unimplemented);
  CHECK(refused.error().text.find("CentaurHauls") != std::string::npos);
  CHECK(guest_cpuid(host("\x01\x02\x03\x04zzzzzzzz", 0xb), third_of_six).error().text ==
        "cpuid: processors of vendor \"????zzzzzzzz\"");
}

TEST_CASE("cpuid: an impossible processor or no leaves at all, is refused") {
  const auto code = [](const cpu_identity& who) {
    return guest_cpuid(intel_host(), who).error().code;
  };
  CHECK(code({0, 0, 1, true}) == errc::invalid_argument);
  CHECK(code({0, 255, 1, true}) == errc::invalid_argument);
  CHECK(code({6, 6, 1, true}) == errc::invalid_argument);
  CHECK(code({0, 5, 2, true}) == errc::invalid_argument);
  CHECK(code({0, 6, 3, true}) == errc::invalid_argument);
  CHECK(code({0, 6, 0, true}) == errc::invalid_argument);
  CHECK(guest_cpuid({}, third_of_six).error().code == errc::invalid_argument);
  auto many = intel_host();
  many.resize(x86_64::max_cpuid_entries, leaf(0x40000010));
  CHECK(guest_cpuid(many, third_of_six).error().code == errc::invalid_argument);
}
