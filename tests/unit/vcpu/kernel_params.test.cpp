#include "actors/vcpu/kernel_params.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <sstream>

using namespace troupe;

namespace {

std::multiset<std::string> keys_of(const std::string& line) {
  std::multiset<std::string> keys;
  std::istringstream words{line};
  for (std::string word; words >> word;)
    keys.insert(word.substr(0, word.find('=')));
  return keys;
}

} // namespace

TEST_CASE("hardware needs no words of its own") {
  CHECK(kernel_params_for(kvm_kind::hardware, 0).value().empty());
  CHECK(kernel_params_for(kvm_kind::hardware, 2'600'000).value().empty());
}

TEST_CASE("an emulated guest is told the host's clock") {
  const auto line = kernel_params_for(kvm_kind::emulating, 2'599'998).value();
  CHECK(line.starts_with("tsc_early_khz=2599998 "));
  CHECK(kernel_params_for(kvm_kind::emulating, 34'000'000));
}

TEST_CASE("an emulated guest is kept from what KVM refuses") {
  const auto keys = keys_of(kernel_params_for(kvm_kind::emulating, 2'600'000).value());
  for (const auto* key : {"noxsave", "nofsgsbase", "nopcid", "clearcpuid", "GLIBC_TUNABLES"})
    CHECK(keys.count(key) == 1);
}

TEST_CASE("no word is said twice, and the kernel keeps them all") {
  const auto line = kernel_params_for(kvm_kind::emulating, 2'600'000).value();
  const auto keys = keys_of(line);
  CHECK(std::set<std::string>(keys.begin(), keys.end()).size() == keys.size());
  CHECK(line.size() < 1024); // COMMAND_LINE_SIZE is 2048, and the VMM and the agent add theirs
}

TEST_CASE("without a clock that it can hold an emulated guest is not started") {
  for (const auto khz : {0u, 34'000'001u}) {
    const auto refused = kernel_params_for(kvm_kind::emulating, khz);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::failed_precondition);
    CHECK(refused.error().text.find("clock") != std::string::npos);
  }
}
