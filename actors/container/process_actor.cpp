#include "actors/container/process_actor.hpp"

#include "actors/supervision/ask_again.hpp"
#include "actors/supervision/timer.hpp"
#include "messages/vocabulary/log.hpp"

#include <csignal>

namespace troupe {
namespace {

using lifecycle::command;
using lifecycle::process_phase;
using lifecycle::verdict;

/// Pause before the agent is asked again for a process after the connection broke.
constexpr milliseconds watch_again_after{200};

std::optional<failure> first_failure(const stdio::stdio_report& report) {
  for (const auto* stream : {&report.out, &report.err})
    if (stream->failed)
      return stream->failed;
  return std::nullopt;
}

/// A client that stops reading its fifo must not keep an exit from being told for ever. The pump
/// goes on until the process is deleted.
constexpr milliseconds drain_patience{10'000};

/// Everything a handler needs; copied into callbacks, which run as the actor's own messages.
struct process {
  process_actor::stateful_pointer<process_body> self;
  std::shared_ptr<const process_args> args;

  [[nodiscard]] process_state& state() const { return args->ledger->state; }
  [[nodiscard]] const std::string& who() const { return args->me.path(); }
  [[nodiscard]] milliseconds patience(const request_context& context) const {
    return std::min(args->pod->values.agent().request_timeout, context.left(actors::now(self)));
  }

  /// Answers what the table refuses; nothing when the handler shall go on.
  template <class T>
  [[nodiscard]] std::optional<verdict> admit(command what, const reply_box<T>& reply) const {
    auto said = state().admit(what);
    if (said)
      return *said;
    reply.answer(tl::unexpected(std::move(said).error()));
    return std::nullopt;
  }

  void watch() const;
  void finish_if_over() const;
  void start(const task_call<start_process>& call) const;
  void started() const;
  void drive_start(const request_context& context, bool repeated) const;
  void open_streams_of(const request_context& context) const;
  void start_pump(const guest_streams& streams) const;
  void resume() const;
  void answer_starters(const outcome<task_pid>& with) const;
  void kill(const task_call<kill_process>& call) const;
  void wait(const task_call<wait_process>& call) const;
  void resize(const task_call<resize_pty>& call) const;
  void close_stdin(const task_call<close_io>& call) const;
  void remove(const task_call<delete_process>& call) const;
  void exited(const exit_record& how) const;
  void lost(const failure& why) const;
  void drained(const output_drained& news) const;
  void machine_gone() const;
};

// -- end
// -------------------------------------------------------------------------------------------

void process::watch() const {
  actors::tell(args->agent, guest_watch{state().key(), args->me});
}

void process::finish_if_over() const {
  if (!state().take_finish())
    return;
  const auto how = *state().exit();
  log::info(who(), "exited with {}", how.status);
  answer_starters(task_pid{state().pid()}); // it did start, however briefly
  args->pod->publish(event::process_exited{state().key(), state().pid(), how});
  for (const auto& waiter : std::exchange(self->state.waiters, {}))
    waiter.answer(how);
  actors::tell(args->owner, process_finished{state().key(), how});
}

void process::exited(const exit_record& how) const {
  if (!state().exited(how))
    return;
  if (state().phase() == process_phase::created)
    state().abandon_output(); // killed before it was started: it has written nothing
  finish_if_over();
  if (state().exit())
    return;
  (void)actors::after(self, drain_patience, [it = *this] {
    if (it.state().exit())
      return;
    log::warn(it.who(), "ended, but its output is not being read");
    it.state().abandon_output();
    it.finish_if_over();
  });
}

void process::drained(const output_drained& news) const {
  if (news.why)
    log::warn(who(), "output ended early: {}", news.why->text);
  state().drained();
  if (!args->ledger->keeps_exit)
    watch(); // kata-agent closes the pipes when it is asked for the exit
  finish_if_over();
}

void process::lost(const failure& why) const {
  if (state().exit() || args->pod->fate.why())
    return; // told already, or the machine's end will tell
  if (why.code == errc::agent_gone || why.code == errc::restarting) {
    // The connection may come back, and the agent keeps the exit for us.
    (void)actors::after(self, watch_again_after, [it = *this] { it.watch(); });
    return;
  }
  log::error(who(), "its exit is unknown: {}", why.text);
  exited({unknown_status, actors::wall_now(self)});
}

void process::machine_gone() const {
  state().exited({killed_status, actors::wall_now(self)});
  state().abandon_output();
  finish_if_over();
}

// -- start
// -----------------------------------------------------------------------------------------

void process::answer_starters(const outcome<task_pid>& with) const {
  for (const auto& starter : std::exchange(self->state.starters, {}))
    starter.answer(with);
}

void process::start(const task_call<start_process>& call) const {
  const auto said = admit(command::start, call.reply);
  if (!said)
    return;
  if (*said == verdict::already_done)
    return call.reply.answer(task_pid{state().pid()});
  self->state.starters.push_back(call.reply);
  if (*said == verdict::join)
    return;
  if (auto& pump = args->ledger->pump; !pump) {
    auto opened = open_pump(*args->pod, args->me, state().key(), state().io());
    if (!opened)
      return answer_starters(tl::unexpected(std::move(opened).error()));
    pump = std::move(*opened);
  }
  state().begin_start();
  drive_start(call.command.context, false);
}

void process::drive_start(const request_context& context, bool repeated) const {
  const guest_start wanted{context, state().key(), args->ledger->exec};
  auto asked = actors::ask_again(self, args->agent, patience(context), "start", wanted);
  (repeated ? std::move(asked).repeated() : std::move(asked))
      .then([it = *this, context] { it.open_streams_of(context); },
            [it = *this](const failure& why) {
              it.state().start_failed();
              if (const auto pump = std::exchange(it.args->ledger->pump, nullptr))
                pump->close();
              it.answer_starters(tl::unexpected(why));
            });
}

void process::open_streams_of(const request_context& context) const {
  actors::ask_again(self, args->agent, patience(context), "streams",
                    open_streams{context, state().key(), state().io().terminal})
      .then([it = *this](const guest_streams& streams) { it.start_pump(streams); },
            [it = *this](const failure& why) {
              log::error(it.who(), "runs without streams: {}", why.text);
              it.state().drained();
              it.started();
            });
}

void process::start_pump(const guest_streams& streams) const {
  args->ledger->keeps_exit = streams.keeps_exit;
  args->ledger->pump->start(streams.source);
  if (state().stdin_closed())
    args->ledger->pump->close_stdin();
  started();
}

void process::started() const {
  state().started();
  log::info(who(), "started");
  if (state().is_init())
    args->pod->publish(event::task_started{state().key().container, state().pid()});
  else
    args->pod->publish(event::exec_started{state().key(), state().pid()});
  actors::tell(args->owner, process_running{state().key()});
  answer_starters(task_pid{state().pid()});
  if (const auto size = state().size())
    actors::ask_again(self, args->agent, args->pod->values.agent().request_timeout, "resize",
                      guest_resize{{}, state().key(), size->columns, size->rows})
        .then([] {}, [it = *this](const failure& why) { log::warn(it.who(), "{}", why.text); });
  // An init is watched from its creation on: it can be killed before it was started.
  if (!state().is_init() && args->ledger->keeps_exit)
    watch();
  finish_if_over();
}

/// After a restart: goes on where the last one was.
void process::resume() const {
  if (state().phase() == process_phase::starting)
    return drive_start({}, true);
  if (state().is_init() || state().phase() == process_phase::running)
    watch();
  finish_if_over();
}

// -- commands
// --------------------------------------------------------------------------------------

void process::kill(const task_call<kill_process>& call) const {
  const auto& wanted = call.command;
  const auto said = admit(wanted.all ? command::kill_all : command::kill, call.reply);
  if (!said)
    return;
  if (*said == verdict::already_done)
    return call.reply.answer(done{});
  if (!state().is_init() && state().phase() == process_phase::created) {
    machine_gone(); // it never ran: there is nothing in the guest to signal
    return call.reply.answer(done{});
  }
  const guest_signal order{wanted.context, state().key(), wanted.signal, wanted.all};
  actors::ask_again(self, args->agent, patience(wanted.context), "kill", order)
      .then([reply = call.reply] { reply.answer(done{}); },
            [reply = call.reply, signal = wanted.signal](const failure& why) {
              const bool deadly = signal == SIGKILL || signal == SIGTERM;
              const bool gone = why.code == errc::agent_gone || why.code == errc::machine_gone;
              if (deadly && gone)
                return reply.answer(done{}); // it ends with its machine
              reply.answer(tl::unexpected(why));
            });
}

void process::wait(const task_call<wait_process>& call) const {
  if (!admit(command::wait, call.reply))
    return;
  if (const auto& known = state().exit())
    return call.reply.answer(*known);
  if (self->state.waiters.size() >= max_waiters)
    return call.reply.answer(fail(errc::resource_exhausted, "wait: {} callers wait for {}",
                                  max_waiters, state().key().to_string()));
  self->state.waiters.push_back(call.reply);
}

void process::resize(const task_call<resize_pty>& call) const {
  const auto said = admit(command::resize, call.reply);
  if (!said)
    return;
  const pty_size size{call.command.columns, call.command.rows};
  if (auto kept = state().resize(size); !kept)
    return call.reply.answer(tl::unexpected(std::move(kept).error()));
  if (*said == verdict::remember)
    return call.reply.answer(done{});
  const guest_resize order{call.command.context, state().key(), size.columns, size.rows};
  actors::ask_again(self, args->agent, patience(call.command.context), "resize", order)
      .then([reply = call.reply] { reply.answer(done{}); },
            [reply = call.reply](const failure& why) { reply.answer(tl::unexpected(why)); });
}

void process::close_stdin(const task_call<close_io>& call) const {
  if (!admit(command::close_io, call.reply))
    return;
  state().close_stdin();
  if (state().phase() == process_phase::running)
    args->ledger->pump->close_stdin();
  call.reply.answer(done{});
}

void process::remove(const task_call<delete_process>& call) const {
  if (!admit(command::remove, call.reply))
    return;
  state().begin_remove();
  const auto answer = state().removed(actors::wall_now(self));
  for (const auto& waiter : std::exchange(self->state.waiters, {}))
    waiter.answer(answer.exit);
  // The container takes it from here: it alone knows when all of the process is gone.
  actors::tell(args->owner, process_removed{state().key(), answer, call.reply});
}

} // namespace

outcome<std::shared_ptr<stdio::stdio_pump>> open_pump(const pod_context& pod,
                                                      const process_ref& place,
                                                      const process_key& key,
                                                      const stdio_paths& io) {
  auto pump =
      TRY(stdio::stdio_pump::open(pod.io, io, [place, key](const stdio::stdio_report& report) {
        actors::tell(place, output_drained{key, first_failure(report)});
      }));
  return std::make_shared<stdio::stdio_pump>(std::move(pump));
}

process_actor::behavior_type run_process(process_actor::stateful_pointer<process_body> self,
                                         process_args given) {
  const process it{self, std::make_shared<const process_args>(std::move(given))};
  it.resume();
  return {
      [it](const task_call<start_process>& call) { it.start(call); },
      [it](const task_call<kill_process>& call) { it.kill(call); },
      [it](const task_call<wait_process>& call) { it.wait(call); },
      [it](const task_call<get_state>& call) { call.reply.answer(it.state().report()); },
      [it](const task_call<resize_pty>& call) { it.resize(call); },
      [it](const task_call<close_io>& call) { it.close_stdin(call); },
      [it](const task_call<delete_process>& call) { it.remove(call); },
      [it](const guest_exit& news) { it.exited(news.how); },
      [it](const guest_lost& news) { it.lost(news.why); },
      [it](const output_drained& news) { it.drained(news); },
      [it](const machine_lost&) { it.machine_gone(); },
  };
}

} // namespace troupe
