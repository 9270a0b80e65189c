#include "actors/devices/device_actor.hpp"

#include "actors/supervision/ask_again.hpp"
#include "actors/supervision/reply_guard.hpp"
#include "messages/vocabulary/log.hpp"

namespace troupe {
namespace {

using actors::answer;
using actors::reply_guard;

struct manager {
  device_manager_actor::stateful_pointer<device_manager_body> self;
  std::shared_ptr<const device_manager_args> args;

  [[nodiscard]] milliseconds patience() const { return args->pod->values.runtime.effect_timeout; }

  /// Attaches the devices from `index` on, one after the other; the first failure ends it.
  void attach_from(std::size_t index, const reply_guard<void>& reply) const {
    if (index == args->devices.size())
      return reply.answer({});
    actors::ask_again(self, args->devices[index], patience(), "attach", attach_device{})
        .then([it = *this, index, reply] { it.attach_from(index + 1, reply); },
              [reply](const failure& why) { reply.answer(tl::unexpected(why)); });
  }

  /// Detaches the first `count`, in reverse; a failure is logged and does not skip the rest.
  void detach(std::size_t count, const reply_guard<void>& reply) const {
    if (count == 0)
      return reply.answer({});
    const auto& device = args->devices[count - 1];
    actors::ask_again(self, device, patience(), "detach", detach_device{})
        .then([it = *this, count, reply] { it.detach(count - 1, reply); },
              [it = *this, count, reply, path = device.path()](const failure& why) {
                log::error(path, "{}", why.text);
                it.detach(count - 1, reply);
              });
  }
};

} // namespace

device_manager_actor::behavior_type
run_device_manager(device_manager_actor::stateful_pointer<device_manager_body> self,
                   device_manager_args given) {
  const manager it{self, std::make_shared<const device_manager_args>(std::move(given))};
  return {
      [it](const attach_devices&) -> answer<void> {
        const reply_guard<void> reply{it.self};
        it.attach_from(0, reply);
        return reply;
      },
      [it](const detach_devices&) -> answer<void> {
        const reply_guard<void> reply{it.self};
        it.detach(it.args->devices.size(), reply);
        return reply;
      },
  };
}

} // namespace troupe
