#include "actors/container/oci/fields.hpp"

namespace troupe::oci {

namespace {

/// Any major or minor number. An absent one means the same.
constexpr std::int64_t any_number = -1;

outcome<void> read_device_rule(const json_node& from, grpc::LinuxDeviceCgroup& to) {
  to.set_allow(TRY(from.flag_of("allow")));
  to.set_type(TRY(from.text_of("type")).empty() ? "a"
                                                : TRY(word_of(from, "type", device_rule_words())));
  to.set_major(TRY(from.number_of<std::int64_t>("major", any_number)));
  to.set_minor(TRY(from.number_of<std::int64_t>("minor", any_number)));
  to.set_access(TRY(from.text_of("access")));
  if (to.access().find_first_not_of("rwm") != std::string::npos)
    return fail(errc::invalid_argument, "{}: \"{}\" holds more than r, w and m",
                member_path(from, "access"), to.access());
  return {};
}

outcome<void> read_memory(const json_node& from, grpc::LinuxMemory& to) {
  to.set_limit(TRY(from.number_of<std::int64_t>("limit")));
  to.set_reservation(TRY(from.number_of<std::int64_t>("reservation")));
  to.set_swap(TRY(from.number_of<std::int64_t>("swap")));
  to.set_kernel(TRY(from.number_of<std::int64_t>("kernel")));
  to.set_kernel_tcp(TRY(from.number_of<std::int64_t>("kernelTCP")));
  to.set_swappiness(TRY(from.number_of<std::uint64_t>("swappiness")));
  to.set_disable_oom_killer(TRY(from.flag_of("disableOOMKiller")));
  return {};
}

outcome<void> read_cpu(const json_node& from, grpc::LinuxCPU& to) {
  to.set_shares(TRY(from.number_of<std::uint64_t>("shares")));
  to.set_quota(TRY(from.number_of<std::int64_t>("quota")));
  to.set_period(TRY(from.number_of<std::uint64_t>("period")));
  to.set_realtime_runtime(TRY(from.number_of<std::int64_t>("realtimeRuntime")));
  to.set_realtime_period(TRY(from.number_of<std::uint64_t>("realtimePeriod")));
  to.set_cpus(TRY(from.text_of("cpus")));
  to.set_mems(TRY(from.text_of("mems")));
  return {};
}

using throttle_list = google::protobuf::RepeatedPtrField<grpc::LinuxThrottleDevice>;

outcome<void> read_throttle(const json_node& from, const char* name, throttle_list& to) {
  for (const auto& each : TRY(from.list(name))) {
    auto& device = *to.Add();
    device.set_major(TRY(each.number_of<std::int64_t>("major")));
    device.set_minor(TRY(each.number_of<std::int64_t>("minor")));
    device.set_rate(TRY(each.number_of<std::uint64_t>("rate")));
  }
  return {};
}

outcome<void> read_block_io(const json_node& from, grpc::LinuxBlockIO& to) {
  to.set_weight(TRY(from.number_of<std::uint32_t>("weight")));
  to.set_leaf_weight(TRY(from.number_of<std::uint32_t>("leafWeight")));
  for (const auto& each : TRY(from.list("weightDevice"))) {
    auto& device = *to.add_weight_device();
    device.set_major(TRY(each.number_of<std::int64_t>("major")));
    device.set_minor(TRY(each.number_of<std::int64_t>("minor")));
    device.set_weight(TRY(each.number_of<std::uint32_t>("weight")));
    device.set_leaf_weight(TRY(each.number_of<std::uint32_t>("leafWeight")));
  }
  TRY(read_throttle(from, "throttleReadBpsDevice", *to.mutable_throttle_read_bps_device()));
  TRY(read_throttle(from, "throttleWriteBpsDevice", *to.mutable_throttle_write_bps_device()));
  TRY(read_throttle(from, "throttleReadIOPSDevice", *to.mutable_throttle_read_iops_device()));
  return read_throttle(from, "throttleWriteIOPSDevice", *to.mutable_throttle_write_iops_device());
}

outcome<void> read_network(const json_node& from, grpc::LinuxNetwork& to) {
  to.set_class_id(TRY(from.number_of<std::uint32_t>("classID")));
  for (const auto& each : TRY(from.list("priorities"))) {
    auto& priority = *to.add_priorities();
    priority.set_name(TRY(each.text_of("name")));
    priority.set_priority(TRY(each.number_of<std::uint32_t>("priority")));
  }
  return {};
}

} // namespace

outcome<void> read_resources(const json_node& from, grpc::LinuxResources& to) {
  for (const auto& rule : TRY(from.list("devices")))
    TRY(read_device_rule(rule, *to.add_devices()));
  if (const auto memory = TRY(from.child("memory")))
    TRY(read_memory(*memory, *to.mutable_memory()));
  if (const auto cpu = TRY(from.child("cpu")))
    TRY(read_cpu(*cpu, *to.mutable_cpu()));
  if (const auto pids = TRY(from.child("pids")))
    to.mutable_pids()->set_limit(TRY(pids->number_of<std::int64_t>("limit")));
  if (const auto block_io = TRY(from.child("blockIO")))
    TRY(read_block_io(*block_io, *to.mutable_block_io()));
  for (const auto& each : TRY(from.list("hugepageLimits"))) {
    auto& limit = *to.add_hugepage_limits();
    limit.set_pagesize(TRY(each.text_of("pageSize")));
    limit.set_limit(TRY(each.number_of<std::uint64_t>("limit")));
  }
  if (const auto network = TRY(from.child("network")))
    TRY(read_network(*network, *to.mutable_network()));
  return {};
}

} // namespace troupe::oci
