#include "actors/vcpu/run/dispatch.hpp"

#include <fmt/format.h>
#include <linux/kvm.h>

#include <algorithm>
#include <exception>

namespace troupe::vcpu {
namespace {

using verdict = std::optional<vcpu_end>;

// The boundary between the processor's thread and what others made of the bus.
template <class Call>
verdict guarded(std::string_view what, std::uint64_t where, const Call& call) {
  try {
    if (call() == after_write::stop)
      return vcpu_end{end_reason::handler_asked, fmt::format("{} {:#x}", what, where)};
    return std::nullopt;
  } catch (const std::exception& error) {
    return vcpu_end{end_reason::handler_failed,
                    fmt::format("{} {:#x}: {}", what, where, error.what())};
  } catch (...) {
    return vcpu_end{end_reason::handler_failed,
                    fmt::format("{} {:#x}: exception of unknown type", what, where)};
  }
}

void clear(std::span<std::byte> data) noexcept {
  std::ranges::fill(data, std::byte{0});
}

verdict on_port_read(const kvm::port_exit& it, io_handler& io, counters& count) {
  counters::add(count.pio_in);
  clear(it.data);
  return guarded("read of port", it.port, [&] {
    for (std::size_t at = 0; at < it.data.size(); at += it.width)
      io.port_read(it.port, it.data.subspan(at, it.width));
    return after_write::go_on;
  });
}

verdict on_port_write(const kvm::port_exit& it, io_handler& io, counters& count) {
  counters::add(count.pio_out);
  return guarded("write to port", it.port, [&] {
    for (std::size_t at = 0; at < it.data.size(); at += it.width)
      if (io.port_write(it.port, it.data.subspan(at, it.width)) == after_write::stop)
        return after_write::stop;
    return after_write::go_on;
  });
}

struct visitor {
  io_handler& io;
  counters& count;

  verdict operator()(const kvm::port_exit& it) const {
    return it.in ? on_port_read(it, io, count) : on_port_write(it, io, count);
  }
  verdict operator()(const kvm::memory_exit& it) const {
    counters::add(it.write ? count.mmio_write : count.mmio_read);
    if (it.write)
      return guarded("write to address", it.at, [&] { return io.memory_write(it.at, it.data); });
    clear(it.data);
    return guarded("read of address", it.at, [&] {
      io.memory_read(it.at, it.data);
      return after_write::go_on;
    });
  }
  verdict operator()(const kvm::halt_exit&) const {
    counters::add(count.hlt);
    return vcpu_end{end_reason::hlt_without_irqchip,
                    "HLT, and the machine has no interrupt controller"};
  }
  verdict operator()(const kvm::irq_window_exit&) const {
    counters::add(count.irq_window);
    return std::nullopt;
  }
  verdict operator()(const kvm::signal_exit&) const {
    counters::add(count.intr);
    return std::nullopt;
  }
  verdict operator()(const kvm::shutdown_exit&) const {
    return vcpu_end{end_reason::shutdown, "triple fault"};
  }
  verdict operator()(const kvm::refused_entry_exit& it) const {
    return vcpu_end{end_reason::refused_entry,
                    fmt::format("hardware reason {:#x} on host CPU {}", it.reason, it.cpu)};
  }
  verdict operator()(const kvm::internal_error_exit& it) const {
    return vcpu_end{end_reason::internal_error,
                    it.suberror == KVM_INTERNAL_ERROR_EMULATION
                        ? "KVM cannot emulate the instruction"
                        : fmt::format("KVM internal error {}", it.suberror)};
  }
  verdict operator()(const kvm::system_event_exit& it) const {
    switch (it.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
      return vcpu_end{end_reason::system_event, "shutdown"};
    case KVM_SYSTEM_EVENT_RESET:
      return vcpu_end{end_reason::system_event, "reset"};
    case KVM_SYSTEM_EVENT_CRASH:
      return vcpu_end{end_reason::system_event, "crash"};
    default:
      return vcpu_end{end_reason::system_event, fmt::format("event {}", it.type)};
    }
  }
  verdict operator()(const kvm::unexpected_exit& it) const {
    return vcpu_end{end_reason::unexpected_exit, fmt::format("KVM exit {}", it.reason)};
  }
};

} // namespace

bool leaves_instruction_open(const kvm::exit_event& exit) noexcept {
  return std::holds_alternative<kvm::port_exit>(exit) ||
         std::holds_alternative<kvm::memory_exit>(exit);
}

std::optional<vcpu_end> dispatch(const kvm::exit_event& exit, io_handler& io,
                                 counters& count) noexcept {
  return std::visit(visitor{io, count}, exit);
}

} // namespace troupe::vcpu
