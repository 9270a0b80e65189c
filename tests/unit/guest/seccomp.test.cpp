#include "guest/agent/spec/seccomp.hpp"

#include <catch2/catch.hpp>

#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>

using namespace troupe;
using namespace troupe::guest;

namespace {

bool returns(const seccomp_plan& plan, std::uint32_t verdict) {
  return std::any_of(plan.program.begin(), plan.program.end(), [verdict](const sock_filter& insn) {
    return insn.code == (BPF_RET | BPF_K) && insn.k == verdict;
  });
}

grpc::LinuxSeccomp deny(const std::string& call) {
  grpc::LinuxSeccomp from;
  from.set_default_action("SCMP_ACT_ALLOW");
  auto& rule = *from.add_syscalls();
  rule.add_names(call);
  rule.set_action("SCMP_ACT_ERRNO");
  return from;
}

} // namespace

TEST_CASE("seccomp: an absent errno means EPERM, never success") {
  const auto plan = to_seccomp_plan(deny("mkdir"));
  REQUIRE(plan);
  CHECK(returns(*plan, SECCOMP_RET_ERRNO | EPERM));
  CHECK_FALSE(returns(*plan, SECCOMP_RET_ERRNO));
}

TEST_CASE("seccomp: a given errno is kept") {
  auto from = deny("mkdir");
  from.mutable_syscalls(0)->set_errnoret(ENOSYS);
  CHECK(returns(to_seccomp_plan(from).value(), SECCOMP_RET_ERRNO | ENOSYS));
}

TEST_CASE("seccomp: a call of a newer kernel is skipped, an architecture of another machine too") {
  auto from = deny("call_of_the_year_2040");
  from.add_architectures("SCMP_ARCH_X86_64");
  from.add_architectures("SCMP_ARCH_S390X");
  const auto plan = to_seccomp_plan(from);
  REQUIRE(plan);
  CHECK_FALSE(returns(*plan, SECCOMP_RET_ERRNO | EPERM));
}

TEST_CASE("seccomp: unknown words are refused by the name of their field") {
  auto from = deny("mkdir");
  std::string named;
  SECTION("default action") {
    from.set_default_action("SCMP_ACT_DANCE");
    named = "linux.seccomp.defaultAction";
  }
  SECTION("action") {
    from.mutable_syscalls(0)->set_action("");
    named = "linux.seccomp.syscalls.action";
  }
  SECTION("architecture") {
    from.add_architectures("SCMP_ARCH_PDP11");
    named = "linux.seccomp.architectures";
  }
  SECTION("flag") {
    from.add_flags("X");
    named = "linux.seccomp.flags";
  }
  SECTION("operator") {
    from.mutable_syscalls(0)->add_args()->set_op("SCMP_CMP_NEAR");
    named = "linux.seccomp.syscalls.args.op";
  }
  SECTION("argument number") {
    auto& arg = *from.mutable_syscalls(0)->add_args();
    arg.set_op("SCMP_CMP_EQ");
    arg.set_index(6);
    named = "linux.seccomp.syscalls.args.index";
  }
  const auto plan = to_seccomp_plan(from);
  REQUIRE_FALSE(plan);
  CHECK(plan.error().code == errc::invalid_argument);
  CHECK_THAT(plan.error().text, Catch::StartsWith(named));
}
