#pragma once

#include "guest/agent/cgroup/cgroup.hpp"

#include "agent.pb.h"

namespace troupe::guest {

/// What the cgroup's files say, in the units of the wire (nanoseconds, bytes). Files that are not
/// there leave zeros. Times come in microseconds and go out in nanoseconds.
[[nodiscard]] grpc::CgroupStats read_stats(const cgroup& from);

/// Pure part, for tests: memory.stat and friends as text.
void parse_cpu_stat(std::string_view text, grpc::CpuStats& out);
void parse_memory_stat(std::string_view text, grpc::MemoryStats& out);
void parse_io_stat(std::string_view text, grpc::BlkioStats& out);

} // namespace troupe::guest
