#include "guest/agent/cgroup/stats.hpp"

#include "guest/agent/spec/cut.hpp"

#include <charconv>

namespace troupe::guest {
namespace {

using std::string_view;

/// A single number; "max" and nothing are 0.
std::uint64_t number(string_view text) noexcept {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

void add_io(grpc::BlkioStatsEntry* entry, string_view device, string_view key, string_view value) {
  auto minor = device;
  entry->set_major(number(cut(minor, ':')));
  entry->set_minor(number(minor));
  entry->set_op(std::string{key});
  entry->set_value(number(value));
}

void read_memory(const cgroup& from, grpc::MemoryStats& out) {
  parse_memory_stat(from.read("memory.stat"), out);
  out.set_use_hierarchy(true);
  auto& usage = *out.mutable_usage();
  usage.set_usage(number(from.read("memory.current")));
  usage.set_max_usage(number(from.read("memory.peak")));
  usage.set_limit(number(from.read("memory.max")));
  usage.set_failcnt(keyed_value(from.read("memory.events"), "max").value_or(0));
  auto& swap = *out.mutable_swap_usage();
  swap.set_usage(number(from.read("memory.swap.current")));
  swap.set_limit(number(from.read("memory.swap.max")));
}

void read_hugetlb(const cgroup& from, grpc::CgroupStats& out) {
  for (const char* size : {"2MB", "1GB"}) {
    const auto current = from.read(fmt::format("hugetlb.{}.current", size).c_str());
    if (current.empty())
      continue;
    auto& entry = (*out.mutable_hugetlb_stats())[size];
    entry.set_usage(number(current));
    entry.set_failcnt(
        keyed_value(from.read(fmt::format("hugetlb.{}.events", size).c_str()), "max").value_or(0));
  }
}

} // namespace

void parse_cpu_stat(string_view text, grpc::CpuStats& out) {
  const auto ns = [text](string_view key) { return keyed_value(text, key).value_or(0) * 1000; };
  auto& usage = *out.mutable_cpu_usage();
  usage.set_total_usage(ns("usage_usec"));
  usage.set_usage_in_kernelmode(ns("system_usec"));
  usage.set_usage_in_usermode(ns("user_usec"));
  auto& throttling = *out.mutable_throttling_data();
  throttling.set_periods(keyed_value(text, "nr_periods").value_or(0));
  throttling.set_throttled_periods(keyed_value(text, "nr_throttled").value_or(0));
  throttling.set_throttled_time(ns("throttled_usec"));
}

void parse_memory_stat(string_view text, grpc::MemoryStats& out) {
  out.set_cache(keyed_value(text, "file").value_or(0));
  out.mutable_kernel_usage()->set_usage(keyed_value(text, "kernel").value_or(0));
  while (!text.empty()) {
    auto line = cut(text, '\n');
    const auto key = cut(line, ' ');
    if (!key.empty())
      (*out.mutable_stats())[std::string{key}] = number(line);
  }
}

void parse_io_stat(string_view text, grpc::BlkioStats& out) {
  while (!text.empty()) {
    auto line = cut(text, '\n');
    const auto device = cut(line, ' ');
    while (!line.empty()) {
      auto value = cut(line, ' ');
      const auto key = cut(value, '=');
      if (key == "rbytes" || key == "wbytes" || key == "dbytes")
        add_io(out.add_io_service_bytes_recursive(), device,
               key == "rbytes"   ? "read"
               : key == "wbytes" ? "write"
                                 : "discard",
               value);
      else if (key == "rios" || key == "wios" || key == "dios")
        add_io(out.add_io_serviced_recursive(), device,
               key == "rios"   ? "read"
               : key == "wios" ? "write"
                               : "discard",
               value);
    }
  }
}

grpc::CgroupStats read_stats(const cgroup& from) {
  grpc::CgroupStats out;
  parse_cpu_stat(from.read("cpu.stat"), *out.mutable_cpu_stats());
  read_memory(from, *out.mutable_memory_stats());
  out.mutable_pids_stats()->set_current(number(from.read("pids.current")));
  out.mutable_pids_stats()->set_limit(number(from.read("pids.max")));
  parse_io_stat(from.read("io.stat"), *out.mutable_blkio_stats());
  read_hugetlb(from, out);
  return out;
}

} // namespace troupe::guest
