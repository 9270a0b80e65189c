#include "actors/sandbox/hypervisor/qemu/machine.hpp"

#include "messages/vocabulary/log.hpp"

#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::hypervisor::qemu {
namespace {

/// Reads of one wake-up: a flooding guest shares the io thread with everybody else.
constexpr int reads_per_turn = 8;

enum class stream : std::uint8_t { more, empty, ended };

/// Feeds what can be read now.
template <class Lines>
stream pump(int fd, Lines& lines) {
  std::array<char, 8192> buffer{};
  for (int turn = 0; turn < reads_per_turn; ++turn) {
    const auto n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      return stream::empty;
    if (n <= 0) {
      lines.finish();
      return stream::ended;
    }
    lines.feed({buffer.data(), static_cast<std::size_t>(n)});
  }
  return stream::more;
}

/// The process is gone: what is left in the stream is all there will ever be.
template <class Lines>
void drain(int fd, Lines& lines) {
  while (pump(fd, lines) == stream::more) {
  }
  lines.finish();
}

struct reason_name {
  std::string_view qemu;
  end_reason reason;
};
/// ShutdownCause of QEMU's qapi/run-state.json.
constexpr std::array reason_names{
    reason_name{"guest-shutdown", end_reason::guest_shutdown},
    reason_name{"guest-reset", end_reason::guest_reset},
    reason_name{"guest-panic", end_reason::guest_panic},
    reason_name{"host-qmp-quit", end_reason::stopped},
    reason_name{"host-signal", end_reason::killed},
};

end_reason reason_of(std::string_view text) {
  for (const auto& entry : reason_names)
    if (entry.qemu == text)
      return entry.reason;
  return end_reason::failed;
}

std::string text_in(const nlohmann::json& data, const char* key) {
  const auto found = data.find(key);
  return found != data.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

} // namespace

bool machine::on_qmp() {
  return qmp_->on_readable();
}

bool machine::on_console() {
  return pump(channels_.console.get(), console_) != stream::ended;
}

bool machine::on_output() {
  return pump(channels_.output.get(), output_lines_) != stream::ended;
}

void machine::on_event(const qmp::event& what) {
  log::debug("qemu", "{}: event {}", config_.id, what.name);
  note(what);
  if (what.name == "STOP")
    tell(machine_paused{});
  else if (what.name == "RESUME")
    tell(machine_resumed{});
  else if (what.name == "DEVICE_DELETED" && !text_in(what.data, "device").empty())
    tell(device_removed{text_in(what.data, "device")});
}

void machine::note(const qmp::event& what) {
  const std::lock_guard held{mutex_};
  if (what.name == "SHUTDOWN")
    shutdown_reason_ = text_in(what.data, "reason");
  else if (what.name == "GUEST_PANICKED")
    shutdown_reason_ = "guest-panic";
  else if (what.name == "DEVICE_DELETED")
    deleted_.insert(text_in(what.data, "device"));
  else if (what.name == "MIGRATION")
    migration_status_ = text_in(what.data, "status");
  else if (what.name == "BALLOON_CHANGE" && what.data.contains("actual") &&
           what.data["actual"].is_number_unsigned())
    memory_ = what.data["actual"].get<byte_count>();
  changed_.notify_all();
}

bool machine::on_exit() {
  siginfo_t info{};
  const auto id = static_cast<id_t>(child_.pidfd.get());
  if (::waitid(P_PIDFD, id, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0)
    return true; // not yet
  // Everything it said before it died is in the sockets; the exit's text wants it.
  (void)qmp_->on_readable();
  drain(channels_.output.get(), output_lines_);
  drain(channels_.console.get(), console_);
  qmp_->close({errc::machine_gone, "the machine ended", 0});
  exit_info how;
  {
    const std::lock_guard held{mutex_};
    how = describe_exit(info.si_code, info.si_status);
    exit_ = how;
    phase_ = phase::ended;
  }
  changed_.notify_all();
  log::info("qemu", "{}: {}", config_.id, how.text);
  tell(machine_ended{how});
  return false;
}

/// @pre mutex_ is held.
exit_info machine::describe_exit(int code, int status) const {
  exit_info how;
  how.status = code == CLD_EXITED ? status : -1;
  how.signal = code == CLD_KILLED || code == CLD_DUMPED ? status : 0;
  how.reason = how.signal != 0 ? end_reason::killed : reason_of(shutdown_reason_);
  if (stopping_)
    how.reason = end_reason::stopped;
  how.text = std::string{name(how.reason)};
  if (how.signal != 0)
    how.text += fmt::format(" by signal {}", how.signal);
  else if (how.status != 0)
    how.text += fmt::format(" with exit status {}", how.status);
  const bool by_guest =
      how.reason == end_reason::guest_reset || how.reason == end_reason::guest_panic;
  if (const auto words = by_guest ? console_.panic_line() : output_tail_.joined(); !words.empty())
    how.text += ": " + words;
  return how;
}

void machine::tell(const machine_event& what) const {
  if (on_event_)
    on_event_(what);
}

} // namespace troupe::hypervisor::qemu
