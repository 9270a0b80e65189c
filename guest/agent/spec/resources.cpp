#include "guest/agent/spec/resources.hpp"

#include <linux/bpf.h>

#include <algorithm>

namespace troupe::guest {
namespace {

/// More than any runtime sends; bounds the eBPF program made of them.
constexpr int max_device_rules = 512;
/// "0-3,7": longer lists come from nobody who means it.
constexpr std::size_t max_cpu_list = 1024;

class writes {
public:
  void add(std::string file, std::string value, std::string field) {
    list_.push_back({std::move(file), std::move(value), std::move(field)});
  }
  void limit(std::string file, std::int64_t value, std::string field) {
    if (value != 0)
      add(std::move(file), value < 0 ? "max" : fmt::format_int(value).str(), std::move(field));
  }
  std::vector<cgroup_write> take() && { return std::move(list_); }

private:
  std::vector<cgroup_write> list_;
};

outcome<void> add_memory(const grpc::LinuxMemory& memory, writes& out) {
  if (memory.swap() > 0) {
    if (memory.limit() <= 0 || memory.swap() < memory.limit())
      return fail(errc::invalid_argument,
                  "linux.resources.memory.swap: {} is memory plus swap and less than the limit {}",
                  memory.swap(), memory.limit());
    out.add("memory.swap.max", fmt::format_int(memory.swap() - memory.limit()).str(),
            "linux.resources.memory.swap");
  } else
    out.limit("memory.swap.max", memory.swap(), "linux.resources.memory.swap");
  out.limit("memory.max", memory.limit(), "linux.resources.memory.limit");
  out.limit("memory.low", memory.reservation(), "linux.resources.memory.reservation");
  return {};
}

outcome<void> check_list(std::string_view field, std::string_view list) {
  const auto legal = [](char c) { return (c >= '0' && c <= '9') || c == '-' || c == ','; };
  if (list.size() > max_cpu_list || !std::all_of(list.begin(), list.end(), legal))
    return fail(errc::invalid_argument, "{}: '{}' is not a list of numbers", field,
                list.substr(0, 64));
  return {};
}

outcome<void> add_cpu(const grpc::LinuxCPU& cpu, writes& out) {
  if (cpu.shares() != 0)
    out.add("cpu.weight", fmt::format_int(cpu_weight(cpu.shares())).str(),
            "linux.resources.cpu.shares");
  if (cpu.quota() != 0 || cpu.period() != 0) {
    const auto quota = cpu.quota() > 0 ? fmt::format_int(cpu.quota()).str() : "max";
    const auto period = cpu.period() != 0 ? fmt::format(" {}", cpu.period()) : std::string{};
    out.add("cpu.max", quota + period, "linux.resources.cpu.quota");
  }
  TRY(check_list("linux.resources.cpu.cpus", cpu.cpus()));
  TRY(check_list("linux.resources.cpu.mems", cpu.mems()));
  if (!cpu.cpus().empty())
    out.add("cpuset.cpus", cpu.cpus(), "linux.resources.cpu.cpus");
  if (!cpu.mems().empty())
    out.add("cpuset.mems", cpu.mems(), "linux.resources.cpu.mems");
  return {};
}

using throttles = google::protobuf::RepeatedPtrField<grpc::LinuxThrottleDevice>;

void add_throttles(const throttles& list, std::string_view key, writes& out) {
  for (const auto& device : list)
    out.add("io.max",
            fmt::format("{}:{} {}={}", device.major(), device.minor(), key,
                        device.rate() == 0 ? "max" : fmt::format_int(device.rate()).str()),
            "linux.resources.blockIO");
}

void add_io(const grpc::LinuxBlockIO& io, writes& out) {
  if (io.weight() != 0)
    out.add("io.weight", fmt::format("default {}", io_weight(io.weight())),
            "linux.resources.blockIO.weight");
  for (const auto& device : io.weight_device())
    if (device.weight() != 0)
      out.add("io.weight",
              fmt::format("{}:{} {}", device.major(), device.minor(), io_weight(device.weight())),
              "linux.resources.blockIO.weightDevice");
  add_throttles(io.throttle_read_bps_device(), "rbps", out);
  add_throttles(io.throttle_write_bps_device(), "wbps", out);
  add_throttles(io.throttle_read_iops_device(), "riops", out);
  add_throttles(io.throttle_write_iops_device(), "wiops", out);
}

/// "2MB", "1GB", "64KB": what the kernel's file names hold.
bool page_size_name(std::string_view text) noexcept {
  const auto digits = text.find_first_not_of("0123456789");
  return digits != 0 && digits != std::string_view::npos && text.size() < 16 &&
         (text.substr(digits) == "KB" || text.substr(digits) == "MB" ||
          text.substr(digits) == "GB");
}

outcome<std::uint32_t> device_access(std::string_view text) {
  std::uint32_t bits = 0;
  for (const char c : text) {
    if (c == 'r')
      bits |= BPF_DEVCG_ACC_READ;
    else if (c == 'w')
      bits |= BPF_DEVCG_ACC_WRITE;
    else if (c == 'm')
      bits |= BPF_DEVCG_ACC_MKNOD;
    else
      return fail(errc::invalid_argument,
                  "linux.resources.devices.access: '{}' holds more than rwm", text.substr(0, 16));
  }
  return bits == 0 ? BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD : bits;
}

outcome<device_kind> parse_kind(std::string_view text) {
  if (text.empty() || text == "a")
    return device_kind::all;
  if (text == "c")
    return device_kind::character;
  if (text == "b")
    return device_kind::block;
  return fail(errc::invalid_argument, "linux.resources.devices.type: '{}' is none of a, b, c",
              text.substr(0, 16));
}

/// Negative means any; so does 0 for a major, which no device has and proto3 cannot leave out.
std::optional<std::uint32_t> device_number(std::int64_t value, bool zero_is_any) noexcept {
  if (value < 0 || value > UINT32_MAX || (value == 0 && zero_is_any))
    return std::nullopt;
  return static_cast<std::uint32_t>(value);
}

} // namespace

std::uint64_t cpu_weight(std::uint64_t shares) noexcept {
  const auto bounded = std::clamp<std::uint64_t>(shares, 2, 262144);
  return 1 + (bounded - 2) * 9999 / 262142;
}

std::uint64_t io_weight(std::uint32_t weight) noexcept {
  const auto bounded = std::clamp<std::uint64_t>(weight, 10, 1000);
  return 1 + (bounded - 10) * 9999 / 990;
}

outcome<std::vector<cgroup_write>> cgroup_writes(const grpc::LinuxResources& resources) {
  writes out;
  TRY(add_memory(resources.memory(), out));
  TRY(add_cpu(resources.cpu(), out));
  out.limit("pids.max", resources.pids().limit(), "linux.resources.pids.limit");
  add_io(resources.block_io(), out);
  for (const auto& huge : resources.hugepage_limits()) {
    if (!page_size_name(huge.pagesize()))
      return fail(errc::invalid_argument, "linux.resources.hugepageLimits.pageSize: '{}'",
                  huge.pagesize().substr(0, 16));
    out.add(fmt::format("hugetlb.{}.max", huge.pagesize()), fmt::format_int(huge.limit()).str(),
            "linux.resources.hugepageLimits");
  }
  return std::move(out).take();
}

outcome<std::vector<device_rule>> device_rules(const grpc::LinuxResources& resources) {
  if (resources.devices_size() > max_device_rules)
    return fail(errc::invalid_argument, "linux.resources.devices: {}, at most {} are allowed",
                resources.devices_size(), max_device_rules);
  std::vector<device_rule> rules;
  for (const auto& device : resources.devices()) {
    device_rule rule;
    rule.allow = device.allow();
    rule.kind = TRY(parse_kind(device.type()));
    rule.access = TRY(device_access(device.access()));
    rule.major = device_number(device.major(), true);
    rule.minor = device_number(device.minor(), !rule.major.has_value());
    if (rule.kind == device_kind::all)
      rule.major = rule.minor = std::nullopt; // "a" means every device, whatever its numbers say
    rules.push_back(rule);
  }
  return rules;
}

} // namespace troupe::guest
