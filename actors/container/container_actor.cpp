#include "actors/container/container_actor.hpp"

#include "actors/sandbox/lifecycle/commands.hpp"
#include "actors/supervision/ask_again.hpp"
#include "actors/supervision/blocking.hpp"
#include "actors/supervision/timer.hpp"
#include "messages/vocabulary/log.hpp"

namespace troupe {
namespace {

using lifecycle::process_phase;
using lifecycle::verdict;

struct container {
  container_actor::stateful_pointer<container_body> self;
  std::shared_ptr<const container_args> args;

  [[nodiscard]] container_ledger& ledger() const { return *args->ledger; }
  [[nodiscard]] container_state& state() const { return args->ledger->state; }
  [[nodiscard]] container_body& body() const { return self->state; }
  [[nodiscard]] const std::string& who() const { return args->me.path(); }
  [[nodiscard]] const config::config& values() const { return args->pod->values; }

  void go_on() const;
  void step_up() const;
  void prepare() const;
  void share() const;
  void create_in_guest() const;
  void reach(container_step step) const;
  void created() const;
  void flush_early() const;
  void break_off(const failure& why) const;
  void step_down() const;
  void remove_in_guest() const;
  void unshare() const;
  void leave(container_step step) const;
  void gone() const;

  void add_process(const process_entry& entry) const;
  [[nodiscard]] outcome<process_entry> new_process(const process_key& key, stdio_paths io) const;
  [[nodiscard]] const process_entry* find(const process_key& key) const;

  void create(const task_call<create_task>& call) const;
  void exec(const task_call<exec_process>& call) const;
  void register_exec(const task_call<exec_process>& call,
                     std::shared_ptr<const grpc::ExecProcessRequest> request) const;
  void list(const task_call<list_processes>& call) const;
  void process_gone(const process_removed& news) const;
  void machine_gone(const machine_lost& news) const;
  template <class Command>
  void pass(const task_call<Command>& call) const;
  template <class Command>
  void answer_unborn(const task_call<Command>& call) const;
};

// -- way up
// ----------------------------------------------------------------------------------------

void container::go_on() const {
  if (body().busy)
    return;
  if (state().removing())
    step_down();
  else if (state().phase() == process_phase::creating)
    step_up();
}

void container::step_up() const {
  if (state().cancelled())
    return break_off({errc::cancelled, "create: " + state().id().str() + " was killed", 0});
  switch (state().reached()) {
  case container_step::none:
    return prepare();
  case container_step::prepared:
    return share();
  case container_step::shared:
    if (ledger().machine_ready)
      create_in_guest();
    return;
  case container_step::created:
    return created();
  }
}

void container::prepare() const {
  body().busy = true;
  const auto job = args->pod->job("prepare " + state().id().str(), values().runtime.effect_timeout,
                                  actors::now(self));
  const prepare::prepare_options options{values().runtime.disable_guest_seccomp};
  // Descriptors are boxed: the job's value must be copyable on its way through the actor.
  auto box = std::make_shared<prepare::prepared_container>();
  actors::run_blocking(self, args->pod->fx, job,
                       [box, task = state().request(), options]() -> outcome<void> {
                         *box = TRY(prepare::container(task, options));
                         return {};
                       })
      .then(
          [it = *this, box] {
            it.ledger().prepared = std::move(*box);
            for (const auto& note : it.ledger().prepared.notes)
              log::info(it.who(), "{}", note);
            auto init = it.new_process({it.state().id(), {}}, it.state().request().io);
            if (!init)
              return it.break_off(init.error());
            it.ledger().unborn = std::move(*init);
            it.reach(container_step::prepared);
          },
          [it = *this](const failure& why) { it.break_off(why); });
}

void container::share() const {
  body().busy = true;
  auto trees =
      std::make_shared<std::vector<prepare::shared_tree>>(std::move(ledger().prepared.trees));
  actors::ask_again(self, args->sharefs, values().runtime.effect_timeout, "share root file system",
                    add_shares{{}, state().id(), std::move(trees)})
      .then([it = *this] { it.reach(container_step::shared); },
            [it = *this](const failure& why) { it.break_off(why); });
}

void container::create_in_guest() const {
  body().busy = true;
  const auto patience =
      std::chrono::duration_cast<milliseconds>(values().agent().create_container_timeout);
  actors::ask_again(self, args->agent, patience, "create in guest",
                    guest_create{{}, ledger().prepared.request})
      .then([it = *this] { it.reach(container_step::created); },
            [it = *this](const failure& why) { it.break_off(why); });
}

void container::reach(container_step step) const {
  body().busy = false;
  state().advance(step);
  go_on();
}

void container::created() const {
  const auto& request = state().request();
  ledger().init = std::exchange(ledger().unborn, std::nullopt);
  ledger().init->ledger->state.set_pid(state().pid());
  state().created();
  add_process(*ledger().init);
  log::info(who(), "created");
  args->pod->publish(
      event::task_created{state().id(), request.bundle, request.rootfs, request.io, state().pid()});
  for (const auto& creator : std::exchange(body().creators, {}))
    creator.answer(task_pid{state().pid()});
}

void container::flush_early() const {
  for (const auto& early : std::exchange(body().early, {}))
    early(ledger().init->place);
}

void container::break_off(const failure& why) const {
  body().busy = false;
  if (!ledger().broken)
    ledger().broken = why;
  log::warn(who(), "create failed: {}", why.text);
  state().begin_remove();
  go_on();
}

// -- way down
// --------------------------------------------------------------------------------------

void container::step_down() const {
  switch (state().reached()) {
  case container_step::created:
    return remove_in_guest();
  case container_step::shared:
    return unshare();
  case container_step::prepared:
    ledger().prepared = {};
    ledger().unborn.reset();
    return leave(container_step::none);
  case container_step::none:
    return gone();
  }
}

void container::remove_in_guest() const {
  body().busy = true;
  if (args->pod->fate.why())
    return leave(container_step::shared);
  actors::ask_again(self, args->agent, values().agent().request_timeout, "remove from guest",
                    guest_remove{{}, state().id()})
      .then([it = *this] { it.leave(container_step::shared); },
            [it = *this](const failure& why) {
              // The guest keeps some memory until the pod ends; the host has nothing to lose by it.
              log::warn(it.who(), "{}", why.text);
              it.leave(container_step::shared);
            });
}

void container::unshare() const {
  body().busy = true;
  actors::ask_again(self, args->sharefs, values().runtime.effect_timeout, "unshare",
                    remove_shares{{}, state().id()})
      .then([it = *this] { it.leave(container_step::prepared); },
            [it = *this](const failure& why) {
              log::error(it.who(), "{}", why.text);
              it.leave(container_step::prepared);
            });
}

void container::leave(container_step step) const {
  body().busy = false;
  state().retreat(step);
  go_on();
}

void container::gone() const {
  if (ledger().init) {
    args->pod->publish(event::task_deleted{state().id(), state().pid(), ledger().last_words.exit});
    log::info(who(), "deleted");
  }
  // The pod knows before the caller does: what the caller asks next must find it gone.
  actors::tell(args->owner, container_removed{state().id(), ledger().broken});
  for (const auto& creator : std::exchange(body().creators, {}))
    creator.answer(tl::unexpected(ledger().broken.value_or(
        failure{errc::cancelled, "create: the container was deleted", 0})));
  for (const auto& remover : std::exchange(body().removers, {}))
    remover.answer(ledger().last_words);
}

// -- processes
// -------------------------------------------------------------------------------------

outcome<process_entry> container::new_process(const process_key& key, stdio_paths io) const {
  const auto name = key.exec.empty() ? std::string{"init"} : "exec:" + key.exec.str();
  const process_ref place{args->supervisor.path() + "/" + name};
  auto pump = TRY(open_pump(*args->pod, place, key, io));
  return process_entry{
      place, std::make_shared<process_ledger>(process_ledger{
                 process_state{key, state().request().bundle, std::move(io), state().pid()},
                 {},
                 std::move(pump),
                 false})};
}

void container::add_process(const process_entry& entry) const {
  const process_args child{args->pod, entry.ledger, entry.place, args->me, args->agent};
  actors::ask_again(self, args->supervisor, values().runtime.effect_timeout, "add process",
                    actors::add_child{actors::child(entry.place, {}, run_process, child)})
      .then([it = *this] { it.flush_early(); },
            [it = *this, path = entry.place.path()](const failure& why) {
              if (why.code != errc::already_exists) // it outlived this actor's restart
                log::error(it.who(), "{}: {}", path, why.text);
            });
}

const process_entry* container::find(const process_key& key) const {
  if (key.exec.empty())
    return ledger().init ? &*ledger().init : nullptr;
  const auto found = ledger().execs.find(key.exec);
  return found == ledger().execs.end() ? nullptr : &found->second;
}

void container::process_gone(const process_removed& news) const {
  if (news.key.exec.empty()) {
    body().removers.push_back(news.reply);
    if (state().removing())
      return;
    ledger().last_words = news.answer;
    // What was added to it ends with it, and whoever waits for that is told.
    for (const auto& [id, entry] : ledger().execs)
      actors::tell(entry.place, machine_lost{{errc::cancelled, "its container was deleted", 0}});
    state().begin_remove();
    return go_on();
  }
  const auto* entry = find(news.key);
  if (entry == nullptr)
    return news.reply.answer(news.answer);
  actors::ask_again(self, args->supervisor, values().runtime.effect_timeout, "remove process",
                    actors::remove_child{std::string{entry->place.slot()->name()}})
      .then([] {}, [it = *this](const failure& why) { log::warn(it.who(), "{}", why.text); });
  ledger().execs.erase(news.key.exec);
  state().drop_exec(news.key.exec);
  actors::tell(args->agent, guest_forget{news.key});
  news.reply.answer(news.answer);
}

// -- commands
// --------------------------------------------------------------------------------------

void container::create(const task_call<create_task>& call) const {
  if (!state().same_request(call.command))
    return call.reply.answer(fail(errc::already_exists,
                                  "container id: {} is in use with other "
                                  "mounts or streams",
                                  state().id()));
  if (state().phase() == process_phase::created)
    return call.reply.answer(task_pid{state().pid()});
  body().creators.push_back(call.reply);
  go_on();
}

void container::exec(const task_call<exec_process>& call) const {
  const auto& wanted = call.command;
  const auto phase = ledger().init ? ledger().init_phase : state().phase();
  const auto said = lifecycle::answer(phase, lifecycle::command::exec);
  if (lifecycle::refuses(said))
    return call.reply.answer(tl::unexpected(lifecycle::refusal(
        said, state().id().str(), lifecycle::name(phase), lifecycle::command::exec)));
  auto request = prepare::process(wanted);
  if (!request)
    return call.reply.answer(tl::unexpected(std::move(request).error()));
  register_exec(call, std::move(*request));
}

void container::register_exec(const task_call<exec_process>& call,
                              std::shared_ptr<const grpc::ExecProcessRequest> request) const {
  const auto& key = call.command.key;
  if (auto taken = state().add_exec(key.exec); !taken)
    return call.reply.answer(tl::unexpected(std::move(taken).error()));
  auto made = new_process(key, call.command.io);
  if (!made) {
    state().drop_exec(key.exec);
    return call.reply.answer(tl::unexpected(std::move(made).error()));
  }
  const auto entry = std::move(*made);
  entry.ledger->exec = std::move(request);
  ledger().execs.emplace(key.exec, entry);
  const process_args child{args->pod, entry.ledger, entry.place, args->me, args->agent};
  actors::ask_again(self, args->supervisor, values().runtime.effect_timeout, "add process",
                    actors::add_child{actors::child(entry.place, {}, run_process, child)})
      .then(
          [it = *this, key, reply = call.reply] {
            it.args->pod->publish(event::exec_added{key});
            reply.answer(done{});
          },
          [it = *this, key, reply = call.reply](const failure& why) {
            it.ledger().execs.erase(key.exec);
            it.state().drop_exec(key.exec);
            reply.answer(tl::unexpected(why));
          });
}

void container::list(const task_call<list_processes>& call) const {
  std::vector<process_report> out;
  if (ledger().init)
    out.push_back(state().report());
  for (const auto& [id, entry] : ledger().execs) {
    out.push_back(state().report());
    out.back().key.exec = id;
  }
  call.reply.answer(std::move(out));
}

/// The init while there is none yet: the container itself speaks for it.
template <class Command>
void container::answer_unborn(const task_call<Command>& call) const {
  constexpr auto what = lifecycle::command_of<Command>();
  const auto said = lifecycle::answer(process_phase::creating, what);
  if (lifecycle::refuses(said))
    return call.reply.answer(tl::unexpected(lifecycle::refusal(
        said, state().id().str(), lifecycle::name(process_phase::creating), what)));
  if constexpr (std::is_same_v<Command, get_state>) {
    call.reply.answer(state().report());
  } else if constexpr (std::is_same_v<Command, kill_process>) {
    state().cancel();
    call.reply.answer(done{});
  } else {
    // Early but legal: the init gets it as soon as it exists.
    body().early.push_back([call](const process_ref& init) { actors::tell(init, call); });
  }
}

template <class Command>
void container::pass(const task_call<Command>& call) const {
  const auto& key = call.command.key;
  if (const auto* entry = find(key)) {
    actors::tell(entry->place, call);
    return;
  }
  if (key.exec.empty() && state().phase() == process_phase::creating)
    return answer_unborn(call);
  call.reply.answer(
      fail(errc::not_found, "{}: {}: no such process", Command::name, key.to_string()));
}

void container::machine_gone(const machine_lost& news) const {
  if (ledger().init)
    actors::tell(ledger().init->place, news);
  for (const auto& [id, entry] : ledger().execs)
    actors::tell(entry.place, news);
  if (state().phase() != process_phase::creating)
    return;
  if (!ledger().broken)
    ledger().broken = news.why;
  if (!body().busy)
    break_off(news.why);
  else
    state().cancel();
}

} // namespace

container_actor::behavior_type run_container(container_actor::stateful_pointer<container_body> self,
                                             container_args given) {
  const container it{self, std::make_shared<const container_args>(std::move(given))};
  if (it.ledger().init)
    it.add_process(*it.ledger().init);
  for (const auto& [id, entry] : it.ledger().execs)
    it.add_process(entry);
  if (const auto why = it.args->pod->fate.why())
    it.machine_gone({*why}); // told while nobody listened
  else
    it.go_on();
  return {
      [it](const task_call<create_task>& call) { it.create(call); },
      [it](const task_call<exec_process>& call) { it.exec(call); },
      [it](const task_call<list_processes>& call) { it.list(call); },
      [it](const task_call<start_process>& call) { it.pass(call); },
      [it](const task_call<kill_process>& call) { it.pass(call); },
      [it](const task_call<wait_process>& call) { it.pass(call); },
      [it](const task_call<get_state>& call) { it.pass(call); },
      [it](const task_call<resize_pty>& call) { it.pass(call); },
      [it](const task_call<close_io>& call) { it.pass(call); },
      [it](const task_call<delete_process>& call) { it.pass(call); },
      [it](const machine_ready& news) {
        it.state().set_pid(news.pid);
        it.ledger().machine_ready = true;
        it.go_on();
      },
      [it](const process_running& news) {
        if (news.key.exec.empty())
          it.ledger().init_phase = process_phase::running;
      },
      [it](const process_finished& news) {
        if (news.key.exec.empty())
          it.ledger().init_phase = process_phase::stopped;
      },
      [it](const process_removed& news) { it.process_gone(news); },
      [it](const machine_lost& news) { it.machine_gone(news); },
  };
}

} // namespace troupe
