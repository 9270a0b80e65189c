#include "guest/agent/cgroup/device_filter.hpp"

#include "messages/vocabulary/unique_fd.hpp"

#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace troupe::guest {
namespace {

constexpr std::uint32_t any_access = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD;

/// Registers of the program: r2 device kind, r3 access, r4 major, r5 minor, r1 the context at first
/// and scratch afterwards.
enum reg : std::uint8_t {
  answer = 0,
  scratch = 1,
  kind = 2,
  access = 3,
  major_no = 4,
  minor_no = 5
};

bpf_insn instruction(int code, reg to, reg from, int offset, std::int64_t value) {
  bpf_insn out{};
  out.code = static_cast<std::uint8_t>(code);
  out.dst_reg = to & 0xfu;
  out.src_reg = from & 0xfu;
  out.off = static_cast<std::int16_t>(offset);
  out.imm = static_cast<std::int32_t>(static_cast<std::uint32_t>(value));
  return out;
}

bpf_insn load_word(reg to, std::size_t offset) {
  return instruction(BPF_LDX | BPF_MEM | BPF_W, to, scratch, static_cast<int>(offset), 0);
}

void append_prologue(std::vector<bpf_insn>& out) {
  // access_type holds the access in its upper and the kind of device in its lower half.
  out.push_back(load_word(kind, offsetof(bpf_cgroup_dev_ctx, access_type)));
  out.push_back(instruction(BPF_ALU | BPF_MOV | BPF_X, access, kind, 0, 0));
  out.push_back(instruction(BPF_ALU | BPF_RSH | BPF_K, access, answer, 0, 16));
  out.push_back(instruction(BPF_ALU | BPF_AND | BPF_K, kind, answer, 0, 0xffff));
  out.push_back(load_word(major_no, offsetof(bpf_cgroup_dev_ctx, major)));
  out.push_back(load_word(minor_no, offsetof(bpf_cgroup_dev_ctx, minor)));
}

void append_verdict(std::vector<bpf_insn>& out, bool allow) {
  out.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, answer, answer, 0, allow ? 1 : 0));
  out.push_back(instruction(BPF_JMP | BPF_EXIT, answer, answer, 0, 0));
}

/// Skips the rest of a rule when a register differs. The distance is filled in later.
bpf_insn unless_equal(reg which, std::uint32_t value) {
  return instruction(BPF_JMP32 | BPF_JNE | BPF_K, which, answer, 0, value);
}

void append_access_test(std::vector<bpf_insn>& out, const device_rule& rule) {
  if (rule.access == any_access)
    return;
  out.push_back(instruction(BPF_ALU | BPF_MOV | BPF_X, scratch, access, 0, 0));
  if (rule.allow) { // some of the access is not covered: this rule cannot allow it
    out.push_back(instruction(BPF_ALU | BPF_AND | BPF_K, scratch, answer, 0,
                              static_cast<std::int64_t>(any_access & ~rule.access)));
    out.push_back(unless_equal(scratch, 0));
  } else { // none of it is covered: this rule does not deny it
    out.push_back(instruction(BPF_ALU | BPF_AND | BPF_K, scratch, answer, 0, rule.access));
    out.push_back(instruction(BPF_JMP32 | BPF_JEQ | BPF_K, scratch, answer, 0, 0));
  }
}

bool is_branch(const bpf_insn& insn) noexcept {
  return (insn.code & 0x07) == BPF_JMP32;
}

void append_rule(std::vector<bpf_insn>& out, const device_rule& rule) {
  const auto first = out.size();
  if (rule.kind != device_kind::all)
    out.push_back(unless_equal(kind, rule.kind == device_kind::block ? BPF_DEVCG_DEV_BLOCK
                                                                     : BPF_DEVCG_DEV_CHAR));
  append_access_test(out, rule);
  if (rule.major)
    out.push_back(unless_equal(major_no, *rule.major));
  if (rule.minor)
    out.push_back(unless_equal(minor_no, *rule.minor));
  append_verdict(out, rule.allow);
  for (auto at = first; at < out.size(); ++at)
    if (is_branch(out[at]))
      out[at].off = static_cast<std::int16_t>(out.size() - at - 1);
}

bool matches_everything(const device_rule& rule) noexcept {
  return rule.kind == device_kind::all && rule.access == any_access && !rule.major && !rule.minor;
}

constexpr device_rule character(std::uint32_t major, std::optional<std::uint32_t> minor) {
  return {true, device_kind::character, major, minor, any_access};
}

constexpr std::array<device_rule, 10> common_rules{{
    {true, device_kind::character, std::nullopt, std::nullopt, BPF_DEVCG_ACC_MKNOD},
    {true, device_kind::block, std::nullopt, std::nullopt, BPF_DEVCG_ACC_MKNOD},
    character(1, 3),              // null
    character(1, 5),              // zero
    character(1, 7),              // full
    character(1, 8),              // random
    character(1, 9),              // urandom
    character(5, 0),              // tty
    character(5, 2),              // ptmx
    character(136, std::nullopt), // pts/*
}};

int bpf(int command, bpf_attr& attributes) noexcept {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

} // namespace

std::span<const device_rule> common_device_rules() noexcept {
  return common_rules;
}

std::vector<bpf_insn> assemble_device_filter(std::span<const device_rule> rules) {
  std::vector<bpf_insn> out;
  append_prologue(out);
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
    append_rule(out, *rule);
    if (matches_everything(*rule))
      return out; // the kernel refuses programs with code that cannot be reached
  }
  append_verdict(out, false);
  return out;
}

outcome<void> attach_device_filter(int cgroup_dir, std::span<const device_rule> rules) {
  const auto program = assemble_device_filter(rules);
  static constexpr char license[] = "Apache-2.0";
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<std::uintptr_t>(program.data());
  load.insn_cnt = static_cast<std::uint32_t>(program.size());
  load.license = reinterpret_cast<std::uintptr_t>(license);
  const unique_fd loaded{bpf(BPF_PROG_LOAD, load)};
  if (!loaded)
    return fail_errno("device filter: load", errno);
  bpf_attr attach{};
  attach.target_fd = static_cast<std::uint32_t>(cgroup_dir);
  attach.attach_bpf_fd = static_cast<std::uint32_t>(loaded.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  if (bpf(BPF_PROG_ATTACH, attach) != 0)
    return fail_errno("device filter: attach", errno);
  return {};
}

} // namespace troupe::guest
