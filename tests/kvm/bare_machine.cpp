#include "tests/kvm/bare_machine.hpp"

#include "tests/kvm/machine.hpp"

#include <algorithm>
#include <stdexcept>
#include <thread>

namespace troupe::testing {

std::string guest_file(const std::string& name) {
  return std::string{TROUPE_KVM_GUESTS "/bare/"} + name;
}

vcpu::machine_order small_order() {
  vcpu::machine_order out;
  out.name = "bare";
  out.memory = mib(16);
  out.windows = 4;
  out.exit_port = true;
  return out;
}

bare_machine::bare_machine(vcpu::machine_order order)
    : loop_(must(devices::worker::start("bare"))),
      machine_(must(vcpu::machine::create(std::move(order), [end = end_](const auto& how) {
        const std::lock_guard lock{end->mutex};
        end->how = how;
        ++end->told;
        end->changed.notify_all();
      }))) {}

bare_machine::~bare_machine() {
  (void)tear_down();
}

mmio::session& bare_machine::plug(std::unique_ptr<virtio::device> device) {
  const auto index = static_cast<std::uint32_t>(sessions_.size());
  const auto where = vcpu::machine::window(index);
  mmio::session_options how;
  how.base = where.registers.start;
  how.gsi = where.gsi;
  sessions_.push_back(must(mmio::session::start(std::move(device), machine_->ram(), *loop_,
                                                *machine_, how, {[] {}, [](const failure&) {}})));
  must(machine_->plug(index, sessions_.back()->registers()));
  return *sessions_.back();
}

void bare_machine::boot(const std::string& guest, const std::string& words) {
  must(machine_->boot({guest_file(guest), {}, words}));
}

vcpu::ending bare_machine::wait() {
  std::unique_lock lock{end_->mutex};
  if (!end_->changed.wait_for(lock, guest_patience, [this] { return end_->how.has_value(); }))
    throw std::runtime_error{"the guest did not end: " + console()};
  return *end_->how;
}

vcpu::ending bare_machine::run(const std::string& guest, const std::string& words) {
  boot(guest, words);
  return wait();
}

milliseconds bare_machine::tear_down() {
  const auto began = monotonic_clock::now();
  if (machine_) {
    (void)machine_->end(teardown_bound);
    for (std::uint32_t i = 0; i < sessions_.size(); ++i)
      machine_->unplug(i);
  }
  sessions_.clear();
  machine_.reset();
  loop_.reset();
  return std::chrono::duration_cast<milliseconds>(monotonic_clock::now() - began);
}

int bare_machine::told() const {
  const std::lock_guard lock{end_->mutex};
  return end_->told;
}

std::string bare_machine::console() {
  std::string all;
  for (const auto& line : machine_->console().tail())
    all += line + "\n";
  return all;
}

void bare_machine::wait_line(const std::string& line) {
  const auto end = monotonic_clock::now() + guest_patience;
  for (;;) {
    const auto lines = machine_->console().tail();
    if (std::ranges::find(lines, line) != lines.end())
      return;
    if (monotonic_clock::now() > end)
      throw std::runtime_error{"the guest did not say " + line};
    std::this_thread::yield();
  }
}

std::string story(bare_machine& of, const vcpu::ending& how) {
  of.it().console().finish();
  return std::string{name(how.why)} + ": " + how.text + "\n" + of.console();
}

} // namespace troupe::testing
