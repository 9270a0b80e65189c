#include "guest/agent/cgroup/device_filter.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstddef>

using namespace troupe;
using namespace troupe::guest;

namespace {

struct access {
  device_kind kind = device_kind::character;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t bits = 0;
};

constexpr std::uint32_t mknod_bit = BPF_DEVCG_ACC_MKNOD;
constexpr std::uint32_t read_bit = BPF_DEVCG_ACC_READ;
constexpr std::uint32_t write_bit = BPF_DEVCG_ACC_WRITE;
constexpr std::uint32_t all_bits = mknod_bit | read_bit | write_bit;

std::uint32_t context_word(const access& what, std::int16_t offset) {
  if (offset == offsetof(bpf_cgroup_dev_ctx, access_type))
    return what.bits << 16 |
           (what.kind == device_kind::block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  return offset == offsetof(bpf_cgroup_dev_ctx, major) ? what.major : what.minor;
}

/// Runs a program as the kernel would: just the instructions that the assembler uses, and a throw
/// for any other.
bool allows(const std::vector<bpf_insn>& program, const access& what) {
  std::array<std::uint32_t, 11> reg{};
  for (std::size_t at = 0; at < program.size(); ++at) {
    const auto& insn = program[at];
    auto& to = reg.at(insn.dst_reg);
    const auto immediate = static_cast<std::uint32_t>(insn.imm);
    switch (insn.code) {
    case BPF_LDX | BPF_MEM | BPF_W:
      to = context_word(what, insn.off);
      break;
    case BPF_ALU | BPF_MOV | BPF_X:
      to = reg.at(insn.src_reg);
      break;
    case BPF_ALU | BPF_RSH | BPF_K:
      to >>= immediate;
      break;
    case BPF_ALU | BPF_AND | BPF_K:
      to &= immediate;
      break;
    case BPF_ALU64 | BPF_MOV | BPF_K:
      to = immediate;
      break;
    case BPF_JMP32 | BPF_JNE | BPF_K:
      at += to != immediate ? static_cast<std::size_t>(insn.off) : 0;
      break;
    case BPF_JMP32 | BPF_JEQ | BPF_K:
      at += to == immediate ? static_cast<std::size_t>(insn.off) : 0;
      break;
    case BPF_JMP | BPF_EXIT:
      return reg[0] == 1;
    default:
      throw std::runtime_error("an instruction the test does not know");
    }
  }
  throw std::runtime_error("ran past the end");
}

} // namespace

TEST_CASE("device filter: without rules everything is denied") {
  const auto program = assemble_device_filter({});
  CHECK_FALSE(allows(program, {device_kind::character, 1, 3, read_bit}));
}

TEST_CASE("device filter: with the common rules a container uses null but not a disk it made") {
  const auto program = assemble_device_filter(common_device_rules());
  CHECK(allows(program, {device_kind::character, 1, 3, read_bit | write_bit}));
  CHECK(allows(program, {device_kind::character, 136, 77, read_bit}));
  CHECK(allows(program, {device_kind::block, 254, 0, mknod_bit}));
  CHECK_FALSE(allows(program, {device_kind::block, 254, 0, read_bit}));
  CHECK_FALSE(allows(program, {device_kind::block, 254, 0, mknod_bit | read_bit}));
  CHECK_FALSE(allows(program, {device_kind::character, 1, 1, read_bit})); // mem
}

TEST_CASE("device filter: the last rule that matches decides") {
  const std::array<device_rule, 3> rules{{
      {true, device_kind::all, std::nullopt, std::nullopt, all_bits},
      {false, device_kind::block, std::nullopt, std::nullopt, all_bits},
      {true, device_kind::block, 8, 1, read_bit},
  }};
  const auto program = assemble_device_filter(rules);
  CHECK(allows(program, {device_kind::character, 10, 200, all_bits}));
  CHECK(allows(program, {device_kind::block, 8, 1, read_bit}));
  CHECK_FALSE(allows(program, {device_kind::block, 8, 1, read_bit | write_bit}));
  CHECK_FALSE(allows(program, {device_kind::block, 8, 2, read_bit}));
}

TEST_CASE("device filter: a rule that denies writing leaves reading alone") {
  const std::array<device_rule, 2> rules{{
      {true, device_kind::all, std::nullopt, std::nullopt, all_bits},
      {false, device_kind::character, 4, std::nullopt, write_bit},
  }};
  const auto program = assemble_device_filter(rules);
  CHECK(allows(program, {device_kind::character, 4, 0, read_bit}));
  CHECK_FALSE(allows(program, {device_kind::character, 4, 0, read_bit | write_bit}));
}
