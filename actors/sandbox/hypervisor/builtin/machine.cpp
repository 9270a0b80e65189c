#include "actors/sandbox/hypervisor/builtin/machine.hpp"

#include "actors/sandbox/hypervisor/builtin/builtin.hpp"
#include "actors/sandbox/hypervisor/builtin/words.hpp"
#include "messages/vocabulary/log.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace troupe::hypervisor::builtin {
namespace {

milliseconds left(time_point deadline) {
  const auto span = std::chrono::duration_cast<milliseconds>(deadline - monotonic_clock::now());
  return std::max(span, milliseconds{1});
}

outcome<void> readable(std::string_view key, const std::string& path) {
  if (path.empty())
    return fail(errc::invalid_argument, "{}: must not be empty", key);
  if (::access(path.c_str(), R_OK) == 0)
    return {};
  if (errno == ENOENT)
    return fail(errc::not_found, "{}: {} does not exist", key, path);
  return fail_errno(fmt::format("{}: {}", key, path), errno);
}

milliseconds time_of(const timeval& value) {
  return std::chrono::duration_cast<milliseconds>(seconds{value.tv_sec} +
                                                  std::chrono::microseconds{value.tv_usec});
}

failed not_yet(std::string_view verb) {
  return fail(errc::unimplemented, "builtin: {}: not supported", verb);
}

} // namespace

std::shared_ptr<driver> make(std::shared_ptr<const mmio::board> devices, event_handler on_event) {
  return std::make_shared<machine>(std::move(devices), std::move(on_event));
}

machine::machine(std::shared_ptr<const mmio::board> devices, event_handler on_event)
    : devices_(std::move(devices)), on_event_(std::move(on_event)) {}

machine::~machine() {
  if (machine_)
    let_go(machine_);
}

outcome<void> machine::prepare(const machine_config& config) {
  TRY(check(config));
  TRY(readable("kernel", config.kernel));
  if (!config.initrd.empty())
    TRY(readable("initrd", config.initrd));
  const std::lock_guard held{mutex_};
  config_ = config;
  prepared_ = true;
  return {};
}

// -- start and stop

outcome<void> machine::assemble(const machine_ptr& made) const {
  std::uint32_t index = 0;
  for (const auto& device : devices_->all()) {
    auto registers = device.how({made->ram(), made, vcpu::machine::window(index)});
    if (!registers)
      return within("device " + device.name, std::move(registers).error());
    TRY(made->plug(index++, std::move(*registers)));
  }
  return {};
}

outcome<void> machine::start(time_point deadline) {
  {
    const std::lock_guard held{mutex_};
    if (!prepared_ || started_)
      return fail(errc::failed_precondition, "builtin: start: {}",
                  started_ ? "started already" : "not prepared");
    started_ = true;
  }
  const auto windows = static_cast<std::uint32_t>(devices_->all().size());
  auto made = TRY(vcpu::machine::create(
      order_for(config_, windows),
      [me = weak_from_this()](const vcpu::ending& how) {
        if (const auto self = me.lock())
          self->ended(how);
      },
      [tell = on_event_](std::uint32_t id, vcpu::phase where) {
        if (tell)
          tell(processor_moved{id, where});
      }));
  auto up = assemble(made);
  if (up)
    up = made->boot(payload_for(config_));
  if (up && monotonic_clock::now() > deadline)
    up = fail(errc::deadline_exceeded, "builtin: start: took too long");
  if (!up) {
    {
      const std::lock_guard held{mutex_};
      abandoned_ = true;
    }
    let_go(made);
    return within("builtin", std::move(up).error());
  }
  const std::lock_guard held{mutex_};
  machine_ = std::move(made);
  log::info("builtin", "{}: {} vCPUs, {} devices, within this process", config_.id, config_.vcpus,
            windows);
  return {};
}

/// Once, on a thread of the machine or of who ends it.
void machine::ended(const vcpu::ending& how) {
  const auto exit = exit_of(how);
  {
    const std::lock_guard held{mutex_};
    exit_ = exit;
    if (abandoned_)
      return;
  }
  changed_.notify_all();
  if (on_event_)
    on_event_(machine_ended{exit});
}

/// The devices' sessions keep RAM and machine until their actors end them.
void machine::let_go(const machine_ptr& of) const {
  if (auto done = of->end(seconds{5}); !done)
    log::error("builtin", "{}: {}", config_.id, done.error().text);
  const auto windows = static_cast<std::uint32_t>(devices_->all().size());
  for (std::uint32_t index = 0; index < windows; ++index)
    of->unplug(index);
}

outcome<exit_info> machine::stop(time_point deadline) {
  machine_ptr running;
  {
    const std::lock_guard held{mutex_};
    running = std::exchange(machine_, nullptr);
  }
  if (running) {
    TRY(running->end(left(deadline)));
    let_go(running);
  }
  const std::lock_guard held{mutex_};
  if (!exit_)
    return fail(errc::failed_precondition, "builtin: stop: not started");
  return *exit_;
}

outcome<exit_info> machine::wait(time_point deadline) {
  std::unique_lock held{mutex_};
  if (!changed_.wait_until(held, deadline, [this] { return exit_.has_value(); }))
    return fail(errc::deadline_exceeded, "builtin: wait for the machine's end");
  return *exit_;
}

outcome<machine::machine_ptr> machine::running(std::string_view verb) const {
  const std::lock_guard held{mutex_};
  if (exit_)
    return fail(errc::machine_gone, "{}", exit_->text);
  if (!machine_)
    return fail(errc::failed_precondition, "builtin: {}: not started", verb);
  return machine_;
}

outcome<void> machine::pause(time_point deadline) {
  const auto it = TRY(running("pause"));
  TRY(it->pause(left(deadline)));
  if (on_event_)
    on_event_(machine_paused{});
  return {};
}

outcome<void> machine::resume(time_point) {
  const auto it = TRY(running("resume"));
  TRY(it->resume());
  if (on_event_)
    on_event_(machine_resumed{});
  return {};
}

// -- what is not there yet

outcome<void> machine::save(const std::string&, time_point) {
  return not_yet("save");
}
outcome<machine_size> machine::resize(const machine_size&, time_point) {
  return not_yet("resize");
}
outcome<void> machine::add_device(const device&, time_point) {
  return not_yet("add device");
}
outcome<void> machine::remove_device(const std::string&, time_point) {
  return not_yet("remove device");
}
outcome<void> machine::update_device(const device&, time_point) {
  return not_yet("update device");
}

// -- facts

outcome<std::string> machine::agent_address() const {
  for (const auto& one : config_.devices)
    if (const auto* vsock = std::get_if<vsock_device>(&one))
      return "hvsock://" + vsock->hybrid_path + ":1024";
  return fail(errc::not_found, "builtin: there is no vsock device");
}

hypervisor::capabilities machine::capabilities() const {
  hypervisor::capabilities out;
  out.pause = true;
  out.hybrid_vsock = true;
  return out;
}

/// CPU time and memory are those of the whole process: the machine has none of its own.
outcome<machine_metrics> machine::metrics() const {
  const auto it = TRY(running("metrics"));
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  machine_metrics out;
  out.user_time = time_of(used.ru_utime);
  out.system_time = time_of(used.ru_stime);
  out.resident = static_cast<byte_count>(used.ru_maxrss) << 10;
  out.threads = config_.vcpus;
  out.vcpus = config_.vcpus;
  out.guest_memory = it->ram()->size();
  return out;
}

/// A thread of ours stands for the pod's processes: it lives exactly as long as they may.
std::optional<process_identity> machine::process() const {
  const std::lock_guard held{mutex_};
  if (!machine_)
    return std::nullopt;
  return process_identity{machine_->first_thread(), 0};
}

std::vector<std::shared_ptr<vcpu::processor_port>> machine::processors() const {
  const std::lock_guard held{mutex_};
  return machine_ ? machine_->processors() : std::vector<std::shared_ptr<vcpu::processor_port>>{};
}

std::vector<std::string> machine::console_tail() const {
  const std::lock_guard held{mutex_};
  return machine_ ? machine_->console().tail() : std::vector<std::string>{};
}

} // namespace troupe::hypervisor::builtin
