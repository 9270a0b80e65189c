#pragma once

#include "actors/devices/virtio/device.hpp"
#include "messages/vocabulary/units.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::testing {

/// A Linux guest with our devices, for suites that know no transport. One at a time in a process,
/// since a console may come by way of the log. Everything throws when it fails. Not for threads of
/// the machine.
class guest {
public:
  guest() = default;
  guest(const guest&) = delete;
  guest& operator=(const guest&) = delete;
  /// end(), without throwing.
  virtual ~guest() = default;

  /// Before boot. `loop` outlives the guest.
  virtual void add(std::unique_ptr<virtio::device> device, devices::worker& loop) = 0;
  /// Puts new logic in the place of the device that was added as number `index`.
  virtual void replace_device(std::size_t index, std::unique_ptr<virtio::device> next) = 0;
  /// `words`: for the kernel's command line, besides those of every guest.
  virtual void boot(const std::string& initrd, const std::string& words) = 0;

  /// The console's next line; nothing once the guest has ended or at `until`.
  [[nodiscard]] virtual std::optional<std::string> next_line(time_point until) = 0;
  [[nodiscard]] virtual bool alive() = 0;
  /// Throws unless it has ended by a reset of its own.
  virtual void check_end() = 0;
  /// No processor of it runs any more, and every device stopped as it must; says how much they did.
  virtual void end() = 0;

  /// Hands on the console's lines until the guest has ended by a reset of its own, as it must
  /// within `limit`.
  void run(seconds limit, const std::function<void(const std::string&)>& heard);
};

/// What guests are like over a transport.
struct guest_traits {
  /// Their kernel is emulated, at one or two million instructions a second: they are given less to
  /// do and more time, never fewer checks.
  bool slow = false;
  /// They can have a virtio console.
  bool console = false;
};

// A suite is linked with one transport, which defines these:

[[nodiscard]] guest_traits traits_of_guests();
/// Skips the suite unless guests can run here and these files are there.
void need_guests(const std::vector<std::string>& files = {});
[[nodiscard]] std::unique_ptr<guest> make_guest(std::uint32_t processors = 1);

/// The exit code of a program that is one suite, which tells whether it found all well.
[[nodiscard]] int exit_code_of(const std::function<bool()>& suite);

} // namespace troupe::testing
