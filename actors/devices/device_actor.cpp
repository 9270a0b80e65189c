#include "actors/devices/device_actor.hpp"

#include "actors/devices/transport/mmio/session.hpp"
#include "actors/devices/unix_socket.hpp"
#include "actors/devices/vhost_user/session.hpp"
#include "actors/sandbox/journal/undo.hpp"
#include "actors/supervision/ask.hpp"
#include "actors/supervision/blocking.hpp"
#include "actors/supervision/reply_guard.hpp"
#include "actors/supervision/timer.hpp"
#include "messages/vocabulary/log.hpp"

namespace troupe {
namespace {

using actors::answer;
using actors::reply_guard;
using self_pointer = device_actor::stateful_pointer<device_body>;
using shared_args = std::shared_ptr<const device_args>;

/// A hypervisor connects once; its probes during start-up are few.
constexpr int backlog = 4;
/// Work in flight on the device's thread gets this long at its end.
constexpr milliseconds stop_patience{2000};

/// Journals one file beneath the pod's folder before it is made.
outcome<void> journal_file(const device_args& args, const std::string& name) {
  const journal::file_effect effect{{journal::root::state, name}};
  args.ledger->effects.push_back(TRY(args.pod->journal->record(effect)));
  return {};
}

// -- for a hypervisor of its own process

void tell_owner(const device_ref& me, vhost_user::session_event what,
                const std::optional<failure>& why) {
  if (what == vhost_user::session_event::failed)
    actors::tell(me, device_failed{why.value_or(failure{})});
  else if (what == vhost_user::session_event::activated)
    log::debug(me.path(), "the guest's driver runs");
}

outcome<void> listen_for_front_end(const device_args& args) {
  TRY(journal_file(args, socket_file(args.parts.name)));
  auto listener =
      TRY(devices::listen_unix(args.pod->place.device_socket(args.parts.name), backlog));
  auto device = TRY(args.parts.make());
  args.ledger->link =
      std::make_shared<transport::link_of<vhost_user::session>>(TRY(vhost_user::session::start(
          std::move(listener), std::move(device), args.pod->workers.pick(),
          [me = args.me](auto what, const auto& why) { tell_owner(me, what, why); })));
  return {};
}

// -- for a machine of this process

outcome<std::shared_ptr<mmio::session>> join_machine(const device_args& args,
                                                     const mmio::attachment& at) {
  auto device = TRY(args.parts.make());
  mmio::session_options where;
  where.base = at.window.registers.start;
  where.gsi = at.window.gsi;
  transport::device_host::hooks tell;
  tell.activated = [me = args.me] { log::debug(me.path(), "the guest's driver runs"); };
  tell.failed = [me = args.me](const failure& why) { actors::tell(me, device_failed{why}); };
  std::shared_ptr<mmio::session> session = TRY(mmio::session::start(
      std::move(device), at.ram, args.pod->workers.pick(), *at.machine, where, std::move(tell)));
  args.ledger->link = std::make_shared<transport::link_of<mmio::session>>(session, at.machine);
  return session;
}

// -- either way

outcome<void> attach_blocking(const shared_args& args) {
  for (const auto& file : args->parts.files)
    TRY(journal_file(*args, file));
  if (args->pod->chosen.hypervisor == hypervisor::builtin_name)
    TRY(args->pod->board.offer(
        args->parts.name, [args](const mmio::attachment& at) { return join_machine(*args, at); }));
  else
    TRY(listen_for_front_end(*args));
  args->ledger->attached = true;
  return {};
}

outcome<void> detach_blocking(const shared_args& args) {
  args->pod->board.withdraw(args->parts.name);
  outcome<void> stopped;
  if (const auto link = std::exchange(args->ledger->link, nullptr))
    stopped = link->stop(stop_patience);
  args->ledger->attached = false;
  if (args->parts.release)
    args->parts.release();
  for (const auto effect : std::exchange(args->ledger->effects, {}))
    if (const auto live = args->pod->journal->find(effect))
      TRY(journal::undo_one(*args->pod->journal, effect, *journal::make_host_effects(),
                            monotonic_clock::now() + stop_patience));
  return stopped;
}

/// The logic crashed: new logic over the same rings, and the guest goes on.
void rebuild(self_pointer self, const shared_args& args, const failure& why) {
  if (!args->ledger->link || args->pod->fate.why())
    return;
  log::error(args->me.path(), "stopped: {}", why.text);
  if (why.code == errc::guest_fault || why.code == errc::peer_fault)
    return; // it comes back when the guest's driver sets it up anew
  const auto limit = args->pod->values.runtime.effect_timeout;
  actors::run_blocking(self, args->pod->fx,
                       args->pod->job("rebuild " + args->parts.name, limit, actors::now(self)),
                       [args, link = args->ledger->link]() -> outcome<void> {
                         return link->replace_device(TRY(args->parts.make()), stop_patience);
                       })
      .then([args] { log::info(args->me.path(), "rebuilt"); },
            [args](const failure& again) {
              log::error(args->me.path(), "cannot be rebuilt: {}", again.text);
            });
}

template <class Work>
answer<void> in_background(self_pointer self, const shared_args& args, const char* verb,
                           Work work) {
  const reply_guard<void> reply{self};
  const auto limit = args->pod->values.runtime.effect_timeout;
  const auto stage = fmt::format("{} {}", verb, args->parts.name);
  actors::run_blocking(self, args->pod->fx, args->pod->job(stage, limit, actors::now(self)),
                       [args, work] { return work(args); })
      .then([reply] { reply.answer({}); },
            [reply](const failure& why) { reply.answer(tl::unexpected(why)); });
  return reply;
}

} // namespace

device_actor::behavior_type run_device(self_pointer self, device_args given) {
  const auto args = std::make_shared<const device_args>(std::move(given));
  return {
      [self, args](const attach_device&) -> answer<void> {
        if (args->ledger->attached)
          return {};
        return in_background(self, args, "attach", attach_blocking);
      },
      [self, args](const detach_device&) -> answer<void> {
        if (!args->ledger->attached)
          return {};
        return in_background(self, args, "detach", detach_blocking);
      },
      [self, args](const device_failed& news) { rebuild(self, args, news.why); },
  };
}

} // namespace troupe
