#include "tests/support/kvm_guest.hpp"

#include "actors/sandbox/hypervisor/qemu/host.hpp"
#include "actors/vcpu/kernel_params.hpp"
#include "messages/vocabulary/log.hpp"
#include "tests/support/must.hpp"

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <stdexcept>

namespace troupe::testing {
namespace {

constexpr milliseconds limit{10'000};
/// A vCPU's wait for a device's worker, which on a busy host gets its turn late.
constexpr milliseconds patience{5000};

vcpu::machine_order order_for(std::uint32_t devices, std::uint32_t vcpus) {
  vcpu::machine_order out;
  out.name = "guest";
  out.memory = mib(128);
  out.vcpus = out.max_vcpus = vcpus;
  out.windows = devices;
  out.discovery = boot::discovery::mp_table_and_command_line;
  return out;
}

std::string kernel_words() {
  const auto host = hypervisor::qemu::read_host_facts();
  return "console=ttyS0 quiet panic=-1 " +
         must(kernel_params_for(kvm_kind::emulating, host.tsc_khz));
}

} // namespace

void skip_without_kvm(const std::string& kernel, const std::vector<std::string>& needs) {
  auto all = needs;
  all.insert(all.begin(), {"/dev/kvm", kernel});
  for (const auto& need : all)
    if (::access(need.c_str(), R_OK) != 0) {
      std::printf("SKIPPED: a guest on KVM: needs %s\n", need.c_str());
      std::fflush(stdout);
      ::_exit(77);
    }
}

kvm_guest::kvm_guest(std::uint32_t devices, std::uint32_t vcpus) {
  machine_ = must(vcpu::machine::create(order_for(devices, vcpus), [this](const vcpu::ending& how) {
    std::printf("guest: %s: %s\n", std::string{vcpu::name(how.why)}.c_str(), how.text.c_str());
    const std::lock_guard held{mutex_};
    changed_.notify_all();
  }));
  log::set_sink([this](const log::record& what) {
    if (what.who != "console") {
      std::printf("log: %s: %s\n", std::string{what.who}.c_str(), std::string{what.text}.c_str());
      return;
    }
    const std::lock_guard held{mutex_};
    lines_.emplace_back(what.text);
    changed_.notify_all();
  });
}

kvm_guest::~kvm_guest() {
  try {
    end();
  } catch (const std::exception& broken) {
    std::printf("guest: FAIL %s\n", broken.what());
  }
  sessions_.clear();
  machine_.reset();
  log::set_sink({});
}

mmio::session& kvm_guest::add(std::unique_ptr<virtio::device> device, devices::worker& loop) {
  const auto index = static_cast<std::uint32_t>(sessions_.size());
  const auto window = vcpu::machine::window(index);
  mmio::session_options where;
  where.base = window.registers.start;
  where.gsi = window.gsi;
  where.patience = patience;
  sessions_.push_back(must(mmio::session::start(
      std::move(device), machine_->ram(), loop, *machine_, where,
      {[] {}, [](const failure& why) { std::printf("device: %s\n", why.to_string().c_str()); }})));
  must(machine_->plug(index, sessions_.back()->registers()));
  return *sessions_.back();
}

void kvm_guest::boot(const std::string& kernel, const std::string& initrd,
                     const std::string& words) {
  must(machine_->boot({kernel, initrd, kernel_words() + " " + words}));
}

std::optional<std::string> kvm_guest::next_line(time_point until) {
  std::unique_lock held{mutex_};
  changed_.wait_until(held, until, [this] { return !lines_.empty() || !alive(); });
  if (lines_.empty())
    return std::nullopt;
  auto line = std::move(lines_.front());
  lines_.pop_front();
  return line;
}

void kvm_guest::run(seconds limit, const std::function<void(const std::string&)>& heard) {
  const auto until = monotonic_clock::now() + limit;
  while (const auto line = next_line(until))
    heard(*line);
  const auto how = machine_->how();
  if (!how)
    throw std::runtime_error("guest: not at its end in time");
  if (how->why != vcpu::machine_end::reset)
    throw std::runtime_error("guest: " + how->text);
}

void kvm_guest::end() {
  must(machine_->end(limit));
  for (std::uint32_t i = 0; i < sessions_.size(); ++i) {
    machine_->unplug(i);
    if (const auto did = sessions_[i]->stats(limit))
      std::printf("mmio %u: %lu kicks, %lu of them by register, %lu chains, %lu bytes, %lu errors, "
                  "%lu refused, %lu overdue\n",
                  i, did->kicks, did->register_kicks, did->chains, did->bytes, did->errors,
                  did->refused, did->overdue);
    must(sessions_[i]->stop(limit));
  }
  sessions_.clear();
}

} // namespace troupe::testing
