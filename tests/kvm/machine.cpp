#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include "tests/kvm/machine.hpp"
#include "tests/support/skip.hpp"

#include <catch2/catch.hpp>

#include <poll.h>

#include <cstring>
#include <fstream>
#include <iterator>

namespace troupe::testing {
namespace {

class kvm_or_skip : public Catch::TestEventListenerBase {
public:
  using TestEventListenerBase::TestEventListenerBase;
  void testRunStarting(const Catch::TestRunInfo&) override {
    const auto kvm = kvm::system::open();
    need(kvm.has_value(), kvm ? "" : "real machines: " + kvm.error().text);
  }
};
CATCH_REGISTER_LISTENER(kvm_or_skip)

std::uint64_t value_of(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  return value;
}

void count_up(std::span<std::byte> into, unsigned first) {
  for (auto& it : into)
    it = static_cast<std::byte>(first++);
}

std::vector<char> load(const std::string& guest) {
  std::ifstream file{std::string{TROUPE_KVM_GUESTS "/"} + guest, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

void aim(kvm::vcpu& processor, cpu_mode mode) {
  auto special = must(processor.sregs());
  special.cs.base = 0;
  special.cs.selector = 0;
  if (mode == cpu_mode::flat32) {
    special.cr0 |= 1;
    for (auto* it :
         {&special.cs, &special.ds, &special.es, &special.ss, &special.fs, &special.gs}) {
      it->base = 0;
      it->limit = 0xffffffff;
      it->selector = 16;
      it->type = 3;
      it->present = it->db = it->s = it->g = 1;
    }
    special.cs.type = 11;
    special.cs.selector = 8;
    special.idt = {}; // Any fault is one too many.
  }
  must(processor.set_sregs(special));
  kvm_regs registers{};
  registers.rip = code;
  registers.rsp = 0x8000;
  registers.rflags = 2;
  must(processor.set_regs(registers));
}

} // namespace

void test_bus::port_read(std::uint16_t, std::span<std::byte> into) {
  count_up(into, 0xa0);
}

vcpu::after_write test_bus::port_write(std::uint16_t port, std::span<const std::byte> from) {
  if (port != port_done) {
    remember({false, port, from.size(), value_of(from)});
    return vcpu::after_write::go_on;
  }
  const std::lock_guard lock{mutex_};
  done_ = true;
  changed_.notify_all();
  return at_done_;
}

void test_bus::memory_read(gpa at, std::span<std::byte> into) {
  count_up(into, static_cast<unsigned>(0xd0 + (at - device)));
}

vcpu::after_write test_bus::memory_write(gpa at, std::span<const std::byte> from) {
  remember({true, at, from.size(), value_of(from)});
  return vcpu::after_write::go_on;
}

void test_bus::remember(const written& it) {
  const std::lock_guard lock{mutex_};
  writes_.push_back(it);
  changed_.notify_all();
}

std::vector<written> test_bus::writes() const {
  const std::lock_guard lock{mutex_};
  return writes_;
}

bool test_bus::wait_writes(std::size_t count) {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, patience, [&] { return writes_.size() >= count; });
}

bool test_bus::wait_done() {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, patience, [&] { return done_; });
}

machine::machine(const std::string& guest, cpu_mode mode, std::shared_ptr<vcpu::io_handler> bus,
                 irqchip chip, std::uint32_t processors) {
  memory::ram_plan plan;
  plan.size = mib(2);
  ram_ = must(memory::allocate(plan)).memory;
  const auto image = load(guest);
  REQUIRE(!image.empty());
  must(ram_->write(code, std::as_bytes(std::span{image})));
  vm_ = must(kvm::vm::create(host()));
  must(vm_->add_memory(ram_));
  must(vm_->set_tss_address(kvm::default_tss_address));
  if (chip == irqchip::in_kernel)
    must(vm_->create_irqchip());
  for (std::uint32_t i = 0; i < processors; ++i) {
    vcpu::thread_options options;
    options.processor = must(vm_->create_vcpu(i));
    options.io = bus;
    options.ram = ram_;
    if (i == 0)
      options.on_phase = [this](vcpu::phase where) {
        const std::lock_guard lock{mutex_};
        parked_ = parked_ || where == vcpu::phase::parked;
        changed_.notify_all();
      };
    threads_.push_back(must(vcpu::vcpu_thread::start(std::move(options))));
  }
  for (std::uint32_t i = 0; i < (chip == irqchip::none ? processors : 1); ++i)
    aim(cpu(i).processor(), mode);
}

void machine::run_all() {
  for (const auto& it : threads_)
    must(it->run());
}

vcpu::vcpu_end machine::wait_parked() {
  std::unique_lock lock{mutex_};
  if (!changed_.wait_for(lock, patience, [&] { return parked_; }))
    throw std::runtime_error{"the processor did not park"};
  return cpu().why().value();
}

std::uint32_t machine::word(gpa at) const {
  std::uint32_t value = 0;
  must(ram_->read(at, std::as_writable_bytes(std::span{&value, 1})));
  return value;
}

void machine::set_word(gpa at, std::uint32_t value) const {
  must(ram_->write(at, std::as_bytes(std::span{&value, 1})));
}

const kvm::system& host() {
  static const auto it = must(kvm::system::open());
  return it;
}

kvm::shared_event make_event() {
  return std::make_shared<const unique_fd>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

bool wait_signalled(const kvm::shared_event& event) {
  pollfd it{event->get(), POLLIN, 0};
  return ::poll(&it, 1, static_cast<int>(patience.count())) == 1;
}

std::uint64_t take(const kvm::shared_event& event) {
  eventfd_t count = 0;
  return ::eventfd_read(event->get(), &count) == 0 ? count : 0;
}

} // namespace troupe::testing
