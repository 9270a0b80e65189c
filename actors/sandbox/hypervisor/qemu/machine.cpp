#include "actors/sandbox/hypervisor/qemu/machine.hpp"

#include "actors/sandbox/hypervisor/qemu/argv.hpp"
#include "actors/sandbox/hypervisor/qemu/host.hpp"
#include "actors/sandbox/hypervisor/qemu/qemu.hpp"
#include "messages/vocabulary/log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace troupe::hypervisor::qemu {
namespace {

/// Lines of QEMU's stderr that an error text may quote.
constexpr std::size_t output_tail_lines = 8;
/// How long quit may take before SIGKILL; flushing a block device may need it.
constexpr milliseconds quit_patience{2000};
/// How long the kernel may take to free a killed process; guest memory is gone at once.
constexpr milliseconds kill_patience{5000};

struct pair {
  unique_fd ours;
  unique_fd theirs;
};

/// The io thread reads from our end and must never wait there.
outcome<pair> ready(const std::array<int, 2>& fds) {
  pair made{unique_fd{fds[0]}, unique_fd{fds[1]}};
  if (::fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0)
    return fail_errno("qemu: O_NONBLOCK", errno);
  return made;
}

outcome<pair> socket_pair() {
  std::array<int, 2> fds{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0)
    return fail_errno("qemu: socketpair", errno);
  return ready(fds);
}

outcome<pair> output_pipe() {
  std::array<int, 2> fds{-1, -1};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0)
    return fail_errno("qemu: pipe", errno);
  return ready(fds);
}

} // namespace

std::shared_ptr<driver> make(fd_watcher& watcher, event_handler on_event) {
  return std::make_shared<machine>(watcher, std::move(on_event));
}

machine::machine(fd_watcher& watcher, event_handler on_event)
    : watcher_(watcher), on_event_(std::move(on_event)), console_(console_tail_lines),
      output_lines_([this](const std::string& line) {
        log::info("qemu", "{}", line);
        const std::lock_guard held{mutex_};
        if (line.find(": warning: ") == std::string::npos)
          output_tail_.push(line);
      }),
      output_tail_(output_tail_lines) {}

machine::~machine() {
  if (!child_.pidfd || exit_)
    return;
  signal_kill();
  pollfd gone{child_.pidfd.get(), POLLIN, 0};
  ::poll(&gone, 1, static_cast<int>(kill_patience.count()));
  siginfo_t ignored{};
  ::waitid(P_PIDFD, static_cast<id_t>(child_.pidfd.get()), &ignored, WEXITED | WNOHANG);
}

outcome<void> machine::prepare(const machine_config& config) {
  TRY(check(config));
  if (config.bare)
    return fail(errc::unimplemented, "bare: for the built-in VMM only");
  TRY(check_files(config));
  const lock held{mutex_};
  if (phase_ != phase::fresh && phase_ != phase::prepared)
    return fail(errc::failed_precondition, "qemu: prepare: the machine has been started");
  config_ = config;
  console_.belongs_to(config.id);
  vcpus_ = config.vcpus;
  memory_ = config.memory;
  devices_.clear();
  for (const auto& device : config.devices)
    devices_[id_of(device)] = {device, std::nullopt};
  phase_ = phase::prepared;
  return {};
}

outcome<void> machine::start(time_point deadline) {
  {
    const lock held{mutex_};
    if (phase_ != phase::prepared || stopping_)
      return fail(errc::failed_precondition, "qemu: start: not prepared, or started already");
    phase_ = phase::starting;
    if (auto launched = launch(); !launched) {
      phase_ = phase::ended;
      exit_ = exit_info{end_reason::failed, -1, 0, launched.error().text};
      return launched;
    }
  }
  if (auto watched = watch_all(); !watched)
    return abandon(std::move(watched).error());
  auto version = qmp_->negotiate(deadline);
  if (!version)
    return abandon(std::move(version).error());
  log::info("qemu", "{}: version {} runs as process {}", config_.id, *version, child_.pid);
  const lock held{mutex_};
  if (exit_)
    return fail(errc::machine_gone, "qemu: start: {}", exit_->text);
  phase_ = phase::running;
  return {};
}

/// @pre mutex_ is held.
outcome<void> machine::launch() {
  auto qmp = TRY(socket_pair());
  auto console = TRY(socket_pair());
  auto output = TRY(output_pipe());
  std::vector<int> inherited{qmp.theirs.get(), console.theirs.get()};
  std::ranges::copy(tap_fds(config_), std::back_inserter(inherited));
  child_ = TRY(spawn(command_line(config_, read_host_facts()), output.theirs.get(), inherited));
  channels_.console = std::move(console.ours);
  channels_.output = std::move(output.ours);
  qmp_ = std::make_shared<qmp_client>(std::move(qmp.ours),
                                      [this](const qmp::event& what) { on_event(what); });
  return {};
}

std::function<bool()> machine::weakly(bool (machine::*callback)()) {
  return [weak = weak_from_this(), callback] {
    const auto self = weak.lock();
    return self && (self.get()->*callback)();
  };
}

/// The pidfd first: without it nobody would learn of the end.
outcome<void> machine::watch_all() {
  TRY(watcher_.watch(child_.pidfd.get(), weakly(&machine::on_exit)));
  TRY(watcher_.watch(qmp_->fd(), weakly(&machine::on_qmp)));
  TRY(watcher_.watch(channels_.output.get(), weakly(&machine::on_output)));
  return watcher_.watch(channels_.console.get(), weakly(&machine::on_console));
}

/// A start that failed: nothing stays, and the hypervisor's last words are in the failure.
outcome<void> machine::abandon(failure why) {
  signal_kill();
  const auto ended = wait(monotonic_clock::now() + kill_patience);
  const lock held{mutex_};
  if (!ended)
    return within("qemu: start: " + why.text, ended.error());
  if (stopping_)
    return fail(errc::cancelled, "qemu: start: stopped meanwhile");
  const auto code = why.code == errc::machine_gone ? errc::host_io : why.code;
  return fail(code, "qemu: start: {}: {}", why.text, ended->text);
}

void machine::signal_kill() noexcept {
  ::syscall(SYS_pidfd_send_signal, child_.pidfd.get(), SIGKILL, nullptr, 0);
}

outcome<exit_info> machine::stop(time_point deadline) {
  {
    const lock held{mutex_};
    if (exit_)
      return *exit_;
    stopping_ = true;
    if (!child_.pidfd)
      return exit_info{end_reason::stopped, -1, 0, "never started"};
  }
  const auto now = monotonic_clock::now();
  const auto half = now + (deadline - now) / 2;
  const auto patience = std::min(half, now + quit_patience);
  if (const auto qmp = running("stop")) {
    (void)(*qmp)->execute("quit", nullptr, patience); // a refusal or a hang is answered by SIGKILL
    if (auto ended = wait(patience))
      return ended;
  }
  signal_kill();
  return wait(std::max(deadline, now + milliseconds{1}));
}

outcome<exit_info> machine::wait(time_point deadline) {
  lock held{mutex_};
  if (!changed_.wait_until(held, deadline, [&] { return exit_.has_value(); }))
    return fail(errc::deadline_exceeded, "qemu: wait for the end of process {}", child_.pid);
  return *exit_;
}

outcome<std::shared_ptr<qmp_client>> machine::running(std::string_view verb) const {
  const lock held{mutex_};
  if (phase_ == phase::ended)
    return fail(errc::machine_gone, "qemu: {}: the machine has ended: {}", verb, exit_->text);
  if (phase_ != phase::running)
    return fail(errc::failed_precondition, "qemu: {}: the machine is not running", verb);
  return qmp_;
}

outcome<void> machine::await(lock& held, time_point deadline, std::string_view stage,
                             const std::function<bool()>& done) {
  if (!changed_.wait_until(held, deadline, [&] { return exit_ || done(); }))
    return fail(errc::deadline_exceeded, "qemu: {}", stage);
  if (!done())
    return fail(errc::machine_gone, "qemu: {}: {}", stage, exit_->text);
  return {};
}

outcome<void> machine::pause(time_point deadline) {
  TRY(TRY(running("pause"))->execute("stop", nullptr, deadline));
  return {};
}

outcome<void> machine::resume(time_point deadline) {
  TRY(TRY(running("resume"))->execute("cont", nullptr, deadline));
  return {};
}

outcome<std::string> machine::agent_address() const {
  const lock held{mutex_};
  for (const auto& device : config_.devices)
    if (const auto* vsock = std::get_if<vsock_device>(&device))
      return fmt::format("hvsock://{}:1024", vsock->hybrid_path);
  return fail(errc::not_found, "agent address: the machine has no vsock device");
}

hypervisor::capabilities machine::capabilities() const {
  const lock held{mutex_};
  const bool q35 = config_.machine_type == "q35";
  const bool shares = std::ranges::any_of(devices_, [](const auto& entry) {
    return std::holds_alternative<fs_device>(entry.second.what);
  });
  hypervisor::capabilities can;
  can.own_process = true;
  can.pause = true;
  can.save = !shares; // QEMU 7.2 marks vhost-user-fs as unmigratable
  can.block_hotplug = can.net_hotplug = q35 && config_.spare_ports > 0;
  can.vcpu_hotplug = q35 && config_.max_vcpus > config_.vcpus;
  can.memory_resize = config_.balloon;
  can.vhost_user_fs = true;
  can.hybrid_vsock = true;
  return can;
}

outcome<machine_metrics> machine::metrics() const {
  TRY(running("metrics"));
  auto usage = TRY(read_usage(child_.pid));
  const lock held{mutex_};
  usage.vcpus = vcpus_;
  usage.guest_memory = memory_;
  return usage;
}

std::optional<process_identity> machine::process() const {
  const lock held{mutex_};
  if (!child_.pidfd)
    return std::nullopt;
  return process_identity{child_.pid, child_.start_time};
}

std::vector<std::string> machine::console_tail() const {
  return console_.tail();
}

} // namespace troupe::hypervisor::qemu
