// Guests under our own VMM on /dev/kvm, their devices behind virtio-mmio.
#include "tests/support/kvm_guest.hpp"
#include "actors/devices/transport/mmio/session.hpp"
#include "actors/sandbox/hypervisor/qemu/host.hpp"
#include "actors/vcpu/kernel_params.hpp"
#include "messages/vocabulary/log.hpp"
#include "tests/support/must.hpp"
#include "tests/support/skip.hpp"

#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <deque>
#include <exception>
#include <mutex>
#include <stdexcept>

namespace troupe::testing {
namespace {

constexpr milliseconds limit{10'000};
/// A vCPU's wait for a device's worker, which on a busy host gets its turn late.
constexpr milliseconds patience{5000};

vcpu::machine_order order_for(std::uint32_t processors, std::uint32_t devices) {
  vcpu::machine_order out;
  out.name = "guest";
  out.memory = mib(128);
  out.vcpus = processors;
  out.max_vcpus = processors;
  out.windows = devices;
  out.discovery = boot::discovery::mp_table_and_command_line;
  return out;
}

std::string kernel_words() {
  const auto host = hypervisor::qemu::read_host_facts();
  return "console=ttyS0 quiet panic=-1 " +
         must(kernel_params_for(kvm_kind::emulating, host.tsc_khz));
}

class linux_on_kvm final : public kvm_guest {
public:
  explicit linux_on_kvm(std::uint32_t processors) : processors_(processors) {
    log::set_sink([this](const log::record& what) { hear(what); });
  }

  ~linux_on_kvm() override {
    try {
      end();
    } catch (const std::exception& broken) {
      std::printf("guest: FAIL %s\n", broken.what());
    }
    sessions_.clear();
    machine_.reset();
    log::set_sink({});
  }

  void add(std::unique_ptr<virtio::device> device, devices::worker& loop) override {
    devices_.push_back({std::move(device), &loop});
  }

  void replace_device(std::size_t index, std::unique_ptr<virtio::device> next) override {
    must(sessions_.at(index)->replace_device(std::move(next), limit));
  }

  void boot(const std::string& initrd, const std::string& words) override {
    const auto count = static_cast<std::uint32_t>(devices_.size());
    machine_ =
        must(vcpu::machine::create(order_for(processors_, count), [this](const vcpu::ending& how) {
          std::printf("guest: %s: %s\n", std::string{vcpu::name(how.why)}.c_str(),
                      how.text.c_str());
          const std::lock_guard held{mutex_};
          changed_.notify_all();
        }));
    for (std::uint32_t i = 0; i < count; ++i)
      plug(i);
    must(machine_->boot({TROUPE_KERNEL, initrd, kernel_words() + " " + words}));
  }

  std::optional<std::string> next_line(time_point until) override {
    std::unique_lock held{mutex_};
    changed_.wait_until(held, until, [this] { return !lines_.empty() || !alive(); });
    if (lines_.empty())
      return std::nullopt;
    auto line = std::move(lines_.front());
    lines_.pop_front();
    return line;
  }

  bool alive() override { return !machine_->how(); }
  vcpu::machine& machine() override { return *machine_; }

  void check_end() override {
    const auto how = machine_->how();
    if (!how)
      throw std::runtime_error("guest: not at its end in time");
    if (how->why != vcpu::machine_end::reset)
      throw std::runtime_error("guest: " + how->text);
  }

  void end() override {
    if (!machine_)
      return;
    must(machine_->end(limit));
    for (std::uint32_t i = 0; i < sessions_.size(); ++i)
      unplug(i);
    sessions_.clear();
  }

private:
  struct added {
    std::unique_ptr<virtio::device> device;
    devices::worker* loop;
  };

  void hear(const log::record& what) {
    if (what.who != "console") {
      std::printf("log: %s: %s\n", std::string{what.who}.c_str(), std::string{what.text}.c_str());
      return;
    }
    const std::lock_guard held{mutex_};
    lines_.emplace_back(what.text);
    changed_.notify_all();
  }

  void plug(std::uint32_t index) {
    const auto window = vcpu::machine::window(index);
    mmio::session_options where;
    where.base = window.registers.start;
    where.gsi = window.gsi;
    where.patience = patience;
    auto& it = devices_[index];
    sessions_.push_back(must(mmio::session::start(
        std::move(it.device), machine_->ram(), *it.loop, *machine_, where,
        {[] {},
         [](const failure& why) { std::printf("device: %s\n", why.to_string().c_str()); }})));
    must(machine_->plug(index, sessions_.back()->registers()));
  }

  void unplug(std::uint32_t index) {
    machine_->unplug(index);
    if (const auto did = sessions_[index]->stats(limit))
      std::printf("mmio %u: %lu kicks, %lu of them by register, %lu chains, %lu bytes, %lu errors, "
                  "%lu refused, %lu overdue\n",
                  index, did->kicks, did->register_kicks, did->chains, did->bytes, did->errors,
                  did->refused, did->overdue);
    must(sessions_[index]->stop(limit));
  }

  std::uint32_t processors_;
  std::vector<added> devices_;
  std::mutex mutex_; // Guards both below.
  std::condition_variable changed_;
  std::deque<std::string> lines_;
  std::shared_ptr<vcpu::machine> machine_;
  std::vector<std::unique_ptr<mmio::session>> sessions_;
};

} // namespace

guest_traits traits_of_guests() {
  return {.slow = true, .console = true};
}

void need_guests(const std::vector<std::string>& files) {
  auto all = files;
  all.insert(all.begin(), {"/dev/kvm", TROUPE_KERNEL});
  for (const auto& it : all)
    need(::access(it.c_str(), R_OK) == 0, it);
}

std::unique_ptr<kvm_guest> make_kvm_guest(std::uint32_t processors) {
  return std::make_unique<linux_on_kvm>(processors);
}

std::unique_ptr<guest> make_guest(std::uint32_t processors) {
  return make_kvm_guest(processors);
}

} // namespace troupe::testing
