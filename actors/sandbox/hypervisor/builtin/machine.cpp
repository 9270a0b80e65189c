#include "actors/sandbox/hypervisor/builtin/machine.hpp"

#include "actors/devices/transport/mmio/session.hpp"
#include "actors/sandbox/hypervisor/builtin/builtin.hpp"
#include "actors/sandbox/hypervisor/builtin/words.hpp"
#include "messages/vocabulary/log.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

namespace troupe::hypervisor::builtin {
namespace {

/// For what goes on again after a pause that failed.
constexpr milliseconds turn_back_patience{1000};

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

/// Of this process, now; 0 where /proc cannot tell.
byte_count resident_now() {
  std::ifstream file{"/proc/self/statm"};
  byte_count total = 0;
  byte_count pages = 0;
  file >> total >> pages;
  return pages * static_cast<byte_count>(::sysconf(_SC_PAGESIZE));
}

/// What a machine takes before there is one, and of which there may be too little, is memory.
outcome<void> not_made(const failure& why) {
  if (why.code == errc::resource_exhausted)
    return within("default_memory", why);
  return tl::unexpected{why};
}

failed not_yet(std::string_view verb) {
  return fail(errc::unimplemented, "builtin: {}: not supported", verb);
}

} // namespace

std::shared_ptr<driver> make(std::shared_ptr<const mmio::board> devices, event_handler on_event) {
  return std::make_shared<machine>(std::move(devices), std::move(on_event));
}

// -- how it ended

void fate::ended(const vcpu::ending& how) {
  const auto exit = exit_of(how);
  {
    const std::lock_guard held{mutex_};
    if (abandoned_)
      return;
    exit_ = exit;
  }
  changed_.notify_all();
  tell(machine_ended{exit});
}

void fate::abandon(const exit_info& how) {
  const std::lock_guard held{mutex_};
  abandoned_ = true;
  if (!exit_)
    exit_ = how;
  changed_.notify_all();
}

void fate::tell(const machine_event& what) const {
  if (on_event_)
    on_event_(what);
}

void fate::moved(std::uint32_t id, vcpu::phase where) const {
  if (!exit())
    tell(processor_moved{id, where});
}

std::optional<exit_info> fate::exit() const {
  const std::lock_guard held{mutex_};
  return exit_;
}

std::optional<exit_info> fate::wait(time_point deadline) const {
  std::unique_lock held{mutex_};
  changed_.wait_until(held, deadline, [this] { return exit_.has_value(); });
  return exit_;
}

// -- start

machine::machine(std::shared_ptr<const mmio::board> devices, event_handler on_event)
    : devices_(std::move(devices)), fate_(std::make_shared<fate>(std::move(on_event))) {}

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
  if (phase_ != phase::fresh && phase_ != phase::prepared)
    return fail(errc::failed_precondition, "builtin: prepare: the machine has been started");
  config_ = config;
  phase_ = phase::prepared;
  return {};
}

outcome<void> machine::start(time_point deadline) {
  {
    const std::lock_guard held{mutex_};
    if (phase_ != phase::prepared || stopping_)
      return fail(errc::failed_precondition,
                  "builtin: start: not prepared, started already or stopped");
    phase_ = phase::starting;
  }
  auto made = bring_up(deadline);
  const std::lock_guard held{mutex_};
  settled_.notify_all();
  phase_ = made ? phase::running : phase::ended;
  if (!made)
    return within("builtin: start", std::move(made).error());
  machine_ = *std::move(made);
  log::info("builtin", "{}: {} vCPUs, {} devices, within this process", config_.id, config_.vcpus,
            devices_->all().size());
  return {};
}

/// A machine whose guest runs; of one that fails nothing is left.
outcome<machine::machine_ptr> machine::bring_up(time_point deadline) {
  const auto windows = static_cast<std::uint32_t>(devices_->all().size());
  auto made = vcpu::machine::create(
      order_for(config_, windows), [it = fate_](const vcpu::ending& how) { it->ended(how); },
      [it = fate_](std::uint32_t id, vcpu::phase where) { it->moved(id, where); });
  auto up = made ? assemble(*made) : not_made(made.error());
  if (up)
    up = go_on(deadline);
  if (up)
    up = (*made)->boot(payload_for(config_));
  if (up)
    up = go_on(deadline);
  if (up)
    return made;
  fate_->abandon({up.error().code == errc::machine_gone ? end_reason::stopped : end_reason::failed,
                  -1, 0, up.error().text});
  if (made)
    let_go(*made);
  return tl::unexpected{std::move(up).error()};
}

outcome<void> machine::assemble(const machine_ptr& made) {
  std::uint32_t index = 0;
  for (const auto& device : devices_->all()) {
    const auto session = device.how({made->ram(), made, vcpu::machine::window(index)});
    if (!session)
      return within("device " + device.name, session.error());
    sessions_.emplace_back(*session);
    TRY(made->plug(index++, (*session)->registers()));
  }
  return {};
}

/// Whether a start goes on to its next step.
outcome<void> machine::go_on(time_point deadline) const {
  const std::lock_guard held{mutex_};
  if (stopping_)
    return fail(errc::machine_gone, "stopped while it was started");
  if (monotonic_clock::now() > deadline)
    return fail(errc::deadline_exceeded, "took too long");
  return {};
}

// -- stop

/// The devices' sessions keep RAM and machine until their actors end them.
void machine::let_go(const machine_ptr& of) const {
  if (auto done = of->end(seconds{5}); !done)
    log::error("builtin", "{}: {}", config_.id, done.error().text);
  const auto windows = static_cast<std::uint32_t>(devices_->all().size());
  for (std::uint32_t index = 0; index < windows; ++index)
    of->unplug(index);
}

outcome<exit_info> machine::stop(time_point deadline) {
  machine_ptr it;
  {
    std::unique_lock held{mutex_};
    stopping_ = true;
    if (phase_ == phase::fresh || phase_ == phase::prepared)
      return exit_info{end_reason::stopped, -1, 0, "never started"};
    if (!settled_.wait_until(held, deadline, [this] { return phase_ != phase::starting; }))
      return fail(errc::deadline_exceeded, "builtin: stop: wait for the start to give up");
    it = machine_;
  }
  if (it) {
    // A processor that hangs keeps the machine, for the next try.
    TRY(it->end(left(deadline)));
    let_go(it);
    const std::lock_guard held{mutex_};
    machine_.reset();
    phase_ = phase::ended;
  }
  return wait(deadline);
}

outcome<exit_info> machine::wait(time_point deadline) {
  if (const auto exit = fate_->wait(deadline))
    return *exit;
  return fail(errc::deadline_exceeded, "builtin: wait for the machine's end");
}

// -- pause and resume

outcome<machine::machine_ptr> machine::running(std::string_view verb) const {
  if (const auto exit = fate_->exit())
    return fail(errc::machine_gone, "builtin: {}: {}", verb, exit->text);
  const std::lock_guard held{mutex_};
  if (!machine_)
    return fail(errc::failed_precondition, "builtin: {}: the machine is not running", verb);
  return machine_;
}

/// What a verb came to if the machine ended under it.
outcome<void> machine::unless_gone(outcome<void> result) const {
  if (result)
    return result;
  if (const auto exit = fate_->exit())
    return fail(errc::machine_gone, "{}", exit->text);
  return result;
}

outcome<void> machine::pause_devices(time_point deadline) const {
  for (const auto& device : sessions_)
    if (const auto session = device.lock())
      TRY(session->pause(left(deadline)));
  return {};
}

/// One that does not come keeps no other.
outcome<void> machine::resume_devices(time_point deadline) const {
  outcome<void> result;
  for (const auto& device : sessions_)
    if (const auto session = device.lock())
      if (auto resumed = session->resume(left(deadline)); !resumed)
        result = std::move(resumed);
  return result;
}

/// Processors first: who stands rings no doorbell.
outcome<void> machine::pause(time_point deadline) {
  const auto it = TRY(running("pause"));
  auto paused = it->pause(left(deadline));
  const auto stand = paused.has_value();
  if (stand)
    paused = pause_devices(deadline);
  if (paused) {
    fate_->tell(machine_paused{});
    return {};
  }
  (void)it->resume();
  if (stand)
    (void)resume_devices(monotonic_clock::now() + turn_back_patience);
  return unless_gone(std::move(paused));
}

/// Devices first, so that a processor finds them at work.
outcome<void> machine::resume(time_point deadline) {
  const auto it = TRY(running("resume"));
  const auto devices = resume_devices(deadline);
  TRY(unless_gone(it->resume()));
  fate_->tell(machine_resumed{});
  return devices;
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
  out.resident = resident_now();
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
