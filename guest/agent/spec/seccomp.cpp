#include "guest/agent/spec/seccomp.hpp"

#include "messages/vocabulary/unique_fd.hpp"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <memory>
#include <span>

namespace troupe::guest {
namespace {

using std::string_view;

struct release_filter {
  void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};
using filter_ptr = std::unique_ptr<void, release_filter>;

template <class Value, std::size_t N>
outcome<Value> find_word(const std::array<std::pair<string_view, Value>, N>& table,
                         string_view field, string_view word) {
  for (const auto& [name, value] : table)
    if (name == word)
      return value;
  return fail(errc::invalid_argument, "linux.seccomp.{}: unknown word '{}'", field,
              word.substr(0, 64));
}

outcome<std::uint32_t> parse_action(string_view field, string_view word, std::uint32_t error) {
  const std::array<std::pair<string_view, std::uint32_t>, 8> actions{{
      {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
      {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(error)},
      {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
      {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
      {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
      {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
      {"SCMP_ACT_LOG", SCMP_ACT_LOG},
      {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(error)},
  }};
  return find_word(actions, field, word);
}

constexpr std::array<std::pair<string_view, std::uint32_t>, 18> architectures{{
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
}};

constexpr std::array<std::pair<string_view, scmp_compare>, 7> operators{{
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
}};

constexpr std::array<std::pair<string_view, unsigned>, 3> flags{{
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
}};

/// A foreign architecture is only a promise about calls that cannot be made here, and libseccomp
/// refuses to mix byte orders; so only those of this machine's family go into the program.
bool runs_here(std::uint32_t architecture) noexcept {
  switch (::seccomp_arch_native()) {
  case SCMP_ARCH_X86_64:
    return architecture == SCMP_ARCH_X86_64 || architecture == SCMP_ARCH_X86 ||
           architecture == SCMP_ARCH_X32;
  case SCMP_ARCH_AARCH64:
    return architecture == SCMP_ARCH_AARCH64 || architecture == SCMP_ARCH_ARM;
  default:
    return architecture == ::seccomp_arch_native();
  }
}

outcome<void> add_architectures(void* filter, const grpc::LinuxSeccomp& from) {
  for (const auto& word : from.architectures()) {
    const auto architecture = TRY(find_word(architectures, "architectures", word));
    if (!runs_here(architecture))
      continue;
    if (const int r = ::seccomp_arch_add(filter, architecture); r != 0 && r != -EEXIST)
      return fail_errno("linux.seccomp.architectures: " + word, -r);
  }
  return {};
}

outcome<std::vector<scmp_arg_cmp>> take_arguments(const grpc::LinuxSyscall& from) {
  std::vector<scmp_arg_cmp> out;
  for (const auto& arg : from.args()) {
    if (arg.index() > 5)
      return fail(errc::invalid_argument, "linux.seccomp.syscalls.args.index: {} is above 5",
                  arg.index());
    const auto op = TRY(find_word(operators, "syscalls.args.op", arg.op()));
    out.push_back({static_cast<unsigned>(arg.index()), op, arg.value(), arg.value_two()});
  }
  return out;
}

/// libseccomp takes one comparison per argument and rule; several on one argument mean "any of
/// them" in a specification, so each becomes its own rule.
bool repeats_an_argument(const std::vector<scmp_arg_cmp>& args) noexcept {
  unsigned seen = 0;
  for (const auto& arg : args) {
    if ((seen & (1u << arg.arg)) != 0)
      return true;
    seen |= 1u << arg.arg;
  }
  return false;
}

outcome<void> add_rule(void* filter, std::uint32_t action, int call, std::span<scmp_arg_cmp> args) {
  const int r = ::seccomp_rule_add_array(filter, action, call, static_cast<unsigned>(args.size()),
                                         args.data());
  // -EACCES: the action is the default anyway; -EDOM: the call is not of this architecture.
  if (r != 0 && r != -EACCES && r != -EEXIST && r != -EDOM)
    return fail_errno("linux.seccomp.syscalls: add a rule", -r);
  return {};
}

outcome<void> add_call(void* filter, const grpc::LinuxSyscall& from, std::size_t& rules) {
  const auto error = from.errno_ret_case() == grpc::LinuxSyscall::kErrnoret
                         ? from.errnoret()
                         : static_cast<std::uint32_t>(EPERM);
  const auto action = TRY(parse_action("syscalls.action", from.action(), error & 0xffff));
  auto args = TRY(take_arguments(from));
  for (const auto& name : from.names()) {
    const int call = ::seccomp_syscall_resolve_name(name.c_str());
    if (call == __NR_SCMP_ERROR)
      continue;
    if ((rules += args.empty() ? 1 : args.size()) > max_seccomp_rules)
      return fail(errc::invalid_argument, "linux.seccomp.syscalls: more than {} rules",
                  max_seccomp_rules);
    if (!repeats_an_argument(args))
      TRY(add_rule(filter, action, call, args));
    else
      for (auto& arg : args)
        TRY(add_rule(filter, action, call, {&arg, 1}));
  }
  return {};
}

outcome<std::vector<sock_filter>> compile(void* filter) {
  const unique_fd memory{::memfd_create("seccomp", MFD_CLOEXEC)};
  if (!memory)
    return fail_errno("linux.seccomp: memfd_create", errno);
  if (const int r = ::seccomp_export_bpf(filter, memory.get()); r != 0)
    return fail_errno("linux.seccomp: compile", -r);
  struct stat size {};
  if (::fstat(memory.get(), &size) != 0)
    return fail_errno("linux.seccomp: fstat", errno);
  std::vector<sock_filter> program(static_cast<std::size_t>(size.st_size) / sizeof(sock_filter));
  if (program.size() > BPF_MAXINSNS)
    return fail(errc::invalid_argument, "linux.seccomp: {} instructions, the kernel takes {}",
                program.size(), BPF_MAXINSNS);
  const auto bytes = program.size() * sizeof(sock_filter);
  if (::pread(memory.get(), program.data(), bytes, 0) != static_cast<ssize_t>(bytes))
    return fail_errno("linux.seccomp: read the program", errno);
  return program;
}

} // namespace

outcome<seccomp_plan> to_seccomp_plan(const grpc::LinuxSeccomp& from) {
  seccomp_plan plan;
  const auto fallback = TRY(parse_action("defaultAction", from.default_action(), EPERM));
  for (const auto& word : from.flags())
    plan.flags |= TRY(find_word(flags, "flags", word));
  plan.flags &= ~static_cast<unsigned>(SECCOMP_FILTER_FLAG_TSYNC); // there is one thread to filter
  const filter_ptr filter{::seccomp_init(fallback)};
  if (!filter)
    return fail(errc::host_io, "linux.seccomp: out of memory");
  TRY(add_architectures(filter.get(), from));
  std::size_t rules = 0;
  for (const auto& call : from.syscalls())
    TRY(add_call(filter.get(), call, rules));
  plan.program = TRY(compile(filter.get()));
  return plan;
}

} // namespace troupe::guest
