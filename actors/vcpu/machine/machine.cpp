#include "actors/vcpu/machine/machine.hpp"

#include "actors/devices/legacy/exit_port/device.hpp"
#include "actors/devices/legacy/i8042/device.hpp"
#include "actors/devices/legacy/power/device.hpp"
#include "actors/devices/legacy/pvpanic/device.hpp"
#include "actors/devices/legacy/rtc/device.hpp"
#include "actors/devices/legacy/serial/device.hpp"
#include "actors/vcpu/arch/x86_64/cpuid.hpp"
#include "actors/vcpu/arch/x86_64/layout.hpp"
#include "actors/vcpu/machine/port.hpp"
#include "messages/vocabulary/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <mutex>

namespace troupe::vcpu {
namespace {

namespace layout = x86_64::layout;

constexpr milliseconds default_end_patience{5000};

outcome<unique_fd> open_file(std::string_view field, const std::string& path) {
  unique_fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd && errno == ENOENT)
    return fail(errc::not_found, "{}: {} does not exist", field, path);
  if (!fd)
    return fail_errno(fmt::format("{}: open {}", field, path), errno);
  return fd;
}

outcome<void> check(const machine_order& order) {
  if (order.vcpus == 0 || order.vcpus > order.max_vcpus || order.max_vcpus > layout::max_vcpus)
    return fail(errc::invalid_argument, "vcpus: {} of {}, at most {}", order.vcpus, order.max_vcpus,
                layout::max_vcpus);
  if (order.windows > layout::virtio_mmio_slots)
    return fail(errc::invalid_argument, "devices: {}, at most {}", order.windows,
                layout::virtio_mmio_slots);
  return {};
}

/// The same for all machines of a process; where CPUID is emulated it takes 0.4 ms to ask for.
outcome<std::vector<kvm_cpuid_entry2>> supported_cpuid(const kvm::system& host) {
  static std::mutex mutex;
  static std::vector<kvm_cpuid_entry2> known;
  const std::lock_guard lock{mutex};
  if (known.empty())
    known = TRY(host.supported_cpuid());
  return known;
}

/// What of a processor does not depend on what is loaded. On its own thread.
outcome<void> set_up(kvm::vcpu& processor, std::span<const kvm_cpuid_entry2> cpuid) {
  TRY(processor.set_cpuid(cpuid));
  TRY(processor.set_lapic(x86_64::with_local_interrupts(TRY(processor.lapic()))));
  if (processor.id() != 0)
    return {}; // The first one starts it.
  TRY(processor.set_msrs(x86_64::boot_msrs()));
  return processor.set_fpu(x86_64::float_registers());
}

outcome<void> aim(kvm::vcpu& processor, const x86_64::entry& entry) {
  TRY(processor.set_sregs(x86_64::system_registers(TRY(processor.sregs()), entry)));
  return processor.set_regs(x86_64::registers(entry));
}

memory::ram_plan plan_of(const machine_order& order) {
  memory::ram_plan out;
  out.size = order.memory;
  out.pages = order.pages;
  out.prealloc = order.prealloc;
  return out;
}

} // namespace

// -- making

machine::machine(machine_order order, ended_handler ended, moved_handler moved)
    : order_(std::move(order)), console_(console_lines), end_(std::move(ended)),
      moved_(std::move(moved)) {
  console_.belongs_to(order_.name);
}

machine::~machine() {
  if (auto ended = end(default_end_patience); !ended)
    log::error("machine " + order_.name, "{}", ended.error().text);
}

outcome<std::shared_ptr<machine>> machine::create(machine_order order, ended_handler ended,
                                                  moved_handler moved) {
  TRY(check(order));
  const auto host = TRY(kvm::system::open());
  std::shared_ptr<machine> out{new machine{std::move(order), std::move(ended), std::move(moved)}};
  TRY(out->make(host));
  return out;
}

outcome<void> machine::make(const kvm::system& host) {
  ram_ = TRY(memory::allocate(plan_of(order_)));
  vm_ = TRY(kvm::vm::create(host));
  TRY(vm_->add_memory(ram_.memory));
  TRY(vm_->set_tss_address(layout::tss));
  TRY(vm_->create_irqchip());
  handler_ = std::make_shared<bus_handler>(pio_, mmio_, end_);
  TRY(add_legacy_devices());
  const auto cpuid = TRY(supported_cpuid(host));
  for (std::uint32_t id = 0; id < order_.vcpus; ++id)
    TRY(add_processor(id, cpuid));
  return {};
}

outcome<void> machine::add_legacy_devices() {
  legacy::serial_wiring wires;
  wires.irq = TRY(make_line(*vm_, layout::serial_gsi));
  wires.output = [this](std::string_view bytes) { console_.feed(bytes); };
  TRY(pio_.add(layout::serial_port, layout::serial_port_count,
               std::make_shared<legacy::serial>(std::move(wires))));
  TRY(pio_.add(legacy::i8042_port, legacy::i8042_ports, std::make_shared<legacy::i8042>([this] {
                 finish({machine_end::reset, "the guest reset the machine"});
               })));
  TRY(pio_.add(layout::clock_port, layout::clock_port_count,
               std::make_shared<legacy::rtc>([] { return std::chrono::system_clock::now(); })));
  TRY(pio_.add(layout::sleep_control_port, legacy::sleep_ports,
               std::make_shared<legacy::power>(layout::power_off, [this] {
                 finish({machine_end::power_off, "the guest switched itself off"});
               })));
  TRY(pio_.add(layout::panic_port, legacy::pvpanic_ports,
               std::make_shared<legacy::pvpanic>([this](legacy::panic_event) {
                 finish({machine_end::panic, "the guest's kernel panicked"});
               })));
  if (order_.exit_port)
    TRY(pio_.add(legacy::exit_port_at, legacy::exit_ports,
                 std::make_shared<legacy::exit_port>([this](std::uint32_t code) {
                   finish({machine_end::exit_code, fmt::format("exit code {}", code), code});
                 })));
  return {};
}

// -- devices

memory::device_window machine::window(std::uint32_t index) noexcept {
  return layout::virtio_slot(index);
}

outcome<void> machine::plug(std::uint32_t index, std::shared_ptr<bus::target> registers) {
  const auto at = window(index).registers;
  return mmio_.add(at.start, at.size, std::move(registers));
}

void machine::unplug(std::uint32_t index) noexcept {
  (void)mmio_.remove(window(index).registers.start);
}

outcome<std::unique_ptr<mmio::connection>> machine::connect_doorbell(gpa at, std::uint32_t queue,
                                                                     mmio::shared_event event) {
  return make_doorbell(*vm_, at, queue, std::move(event));
}

outcome<std::unique_ptr<bus::irq_line>> machine::interrupt(std::uint32_t gsi) {
  return make_line(*vm_, gsi);
}

// -- boot

outcome<boot::boot_plan> machine::fill_memory(const payload& what) {
  const auto kernel = TRY(open_file("kernel", what.kernel));
  unique_fd initrd;
  if (!what.initrd.empty())
    initrd = TRY(open_file("initrd", what.initrd));
  boot::boot_request request;
  request.kernel = kernel.get();
  request.initrd = initrd.get();
  request.command_line = what.command_line;
  request.boot_vcpus = order_.vcpus;
  request.max_vcpus = order_.max_vcpus;
  for (std::uint32_t i = 0; i < order_.windows; ++i)
    request.devices.push_back(window(i));
  request.by = order_.discovery;
  request.legacy.clock = true;
  request.legacy.panic = true;
  return boot::load(request, *ram_.memory);
}

/// It comes up on its own thread while devices are plugged and memory is filled.
outcome<void> machine::add_processor(std::uint32_t id,
                                     const std::vector<kvm_cpuid_entry2>& supported) {
  const auto processor = TRY(vm_->create_vcpu(id));
  x86_64::cpu_identity who;
  who.apic_id = id;
  who.cpus = order_.max_vcpus;
  who.tsc_deadline = vm_->check_extension(KVM_CAP_TSC_DEADLINE_TIMER) > 0;
  thread_options options;
  options.processor = processor;
  options.io = handler_;
  options.ram = ram_.memory;
  options.on_phase = [this, id](phase where) { heard(id, where); };
  options.on_thread_start = [this, processor,
                             cpuid = TRY(x86_64::guest_cpuid(supported, who))]() -> outcome<void> {
    if (processor->id() == 0)
      first_thread_ = ::gettid();
    return set_up(*processor, cpuid);
  };
  threads_.push_back(TRY(vcpu_thread::start(std::move(options))));
  return {};
}

/// All of them are set up and stand.
outcome<void> machine::gather_processors() const {
  for (const auto& thread : threads_) {
    TRY(thread->await(command::pause, default_end_patience));
    if (const auto why = thread->why())
      return fail(errc::host_io, "load: vcpu{}: {}", thread->id(), why->text);
  }
  return {};
}

outcome<void> machine::load(const payload& what) {
  if (std::exchange(filled_, true))
    return fail(errc::failed_precondition, "load: it has been loaded");
  if (const auto over = how())
    return fail(errc::machine_gone, "load: {}", over->text);
  const auto plan = TRY(fill_memory(what));
  TRY(gather_processors());
  TRY(aim(threads_.front()->processor(), plan.entry));
  loaded_ = true;
  return {};
}

outcome<void> machine::boot(const payload& what) {
  TRY(load(what));
  return resume();
}

// -- life

outcome<void> machine::pause(milliseconds limit) {
  const auto end = monotonic_clock::now() + limit;
  for (const auto& thread : threads_)
    TRY(thread->ask(command::pause));
  for (const auto& thread : threads_) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - monotonic_clock::now());
    TRY(thread->await(command::pause, std::max(left, milliseconds{1})));
  }
  return {};
}

/// A guest may have ended before its last processor is asked: then it was resumed, and its end is
/// told.
outcome<void> machine::resume() {
  if (!loaded_)
    return fail(errc::failed_precondition, "resume: nothing is loaded");
  for (const auto& thread : threads_)
    if (auto asked = thread->run(); !asked && (thread == threads_.front() || !how()))
      return asked;
  return {};
}

outcome<void> machine::end(milliseconds limit) {
  finish({machine_end::asked, "ended"});
  const auto end = monotonic_clock::now() + limit;
  outcome<void> result;
  for (const auto& thread : threads_) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - monotonic_clock::now());
    if (auto ended = thread->end(std::max(left, milliseconds{1})); !ended)
      result = std::move(ended);
  }
  console_.finish();
  return result;
}

/// On the thread of processor `index`.
void machine::heard(std::size_t index, phase where) {
  if (!loaded_)
    return;
  if (moved_)
    moved_(static_cast<std::uint32_t>(index), where);
  if (where != phase::parked)
    return;
  if (const auto why = threads_[index]->why())
    finish(ending_of(*why));
}

/// The first end of one processor is the end of all.
void machine::finish(ending how) {
  // A kernel's own words say more than the device that it told; many only reset.
  if (how.why == machine_end::reset || how.why == machine_end::panic)
    if (auto line = console_.panic_line(); !line.empty())
      how = {machine_end::panic, std::move(line)};
  if (!end_.record(std::move(how)) || !loaded_)
    return;
  for (const auto& thread : threads_)
    (void)thread->ask(command::end);
}

std::vector<const counters*> machine::counts() const {
  std::vector<const counters*> out;
  for (const auto& thread : threads_)
    out.push_back(&thread->count());
  return out;
}

} // namespace troupe::vcpu
