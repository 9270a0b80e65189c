#include "actors/agent/agent_actor.hpp"

#include "actors/agent/hybrid_vsock.hpp"
#include "actors/container/io/agent_streams.hpp"
#include "actors/container/prepare/prepare.hpp"
#include "actors/supervision/ask.hpp"
#include "actors/supervision/callback.hpp"
#include "actors/supervision/reply_guard.hpp"
#include "actors/supervision/timer.hpp"
#include "messages/vocabulary/log.hpp"

namespace troupe {
namespace {

using actors::answer;
using actors::await_callback;
using actors::reply_guard;
using self_pointer = agent_actor::stateful_pointer<agent_body>;
using shared_args = std::shared_ptr<const agent_args>;

/// One attempt to connect may take this long; a device that accepts and is silent must not hold us.
constexpr milliseconds log_dial_patience{2000};
/// An agent that let a deadline pass has this long to show that it lives.
constexpr milliseconds probe_patience{5000};

agent::agent_timeouts timeouts_of(const config::config& values) {
  agent::agent_timeouts out;
  out.request = values.agent().request_timeout;
  out.create_container = values.agent().create_container_timeout;
  return out;
}

agent::dial_options dial_options_of(const shared_args& args, std::uint32_t port,
                                    time_point deadline) {
  agent::dial_options out;
  out.path = args->pod->place.agent_socket();
  out.port = port;
  out.deadline = deadline;
  out.per_try = args->pod->values.agent().dial_timeout;
  out.alive = [pod = args->pod]() -> outcome<void> {
    if (const auto why = pod->fate.why())
      return tl::unexpected(*why);
    return {};
  };
  return out;
}

/// Calls the agent and brings the answer back; without a connection it is agent_gone at once.
template <class Request, class Response>
auto invoke(self_pointer self, const shared_args& args, const agent::rpc<Request, Response>& what,
            const std::type_identity_t<Request>& request, const request_context& context) {
  const auto left = context.left(actors::now(self));
  return await_callback<Response>(
      self, [client = args->ledger->client, &what, request, left](auto done) {
        if (!client)
          return done(fail(errc::agent_gone, "{}: not connected", what.name));
        client->invoke(what, request, std::move(done), left);
      });
}

void closed(const shared_args& args, const failure& why);

/// A request was not answered in time. Slow is no fault, but a guest that says nothing at all is
/// lost: nothing in it can be ended in order.
void probe(self_pointer self, const shared_args& args) {
  if (!args->ledger->client || args->pod->paused || std::exchange(self->state.probing, true))
    return;
  request_context context;
  context.deadline = actors::now(self) + probe_patience;
  invoke(self, args, agent::call::check, {}, context)
      .then([self](const grpc::HealthCheckResponse&) { self->state.probing = false; },
            [self, args](const failure& why) {
              self->state.probing = false;
              if (why.code == errc::deadline_exceeded && !args->pod->paused)
                closed(args, {errc::agent_gone, "the agent does not answer: " + why.text, 0});
            });
}

/// The same for requests that are answered with nothing.
template <class Request, class Response>
answer<void> relay(self_pointer self, const shared_args& args,
                   const agent::rpc<Request, Response>& what,
                   const std::type_identity_t<Request>& request, const request_context& context) {
  const reply_guard<void> reply{self};
  auto failed = [self, args, reply](failure why) {
    if (why.code == errc::deadline_exceeded)
      probe(self, args);
    reply.answer(tl::unexpected(std::move(why)));
  };
  if constexpr (std::is_void_v<Response>)
    invoke(self, args, what, request, context).then([reply] { reply.answer({}); }, failed);
  else
    invoke(self, args, what, request, context)
        .then([reply](const Response&) { reply.answer({}); }, failed);
  return reply;
}

// -- connect
// ---------------------------------------------------------------------------------------

using stream_box = std::shared_ptr<std::optional<ttrpc::stream_socket>>;

/// A dial whose socket ends up in `box`.
auto dial(self_pointer self, const shared_args& args, std::uint32_t port, time_point deadline,
          const stream_box& box) {
  return await_callback<void>(self, [args, box, options = dial_options_of(args, port, deadline)](
                                        std::function<void(outcome<void>)> done) {
    agent::hybrid_dial::start(args->pod->io, options,
                              [box, done = std::move(done)](outcome<ttrpc::stream_socket> stream) {
                                if (!stream)
                                  return done(tl::unexpected(std::move(stream).error()));
                                box->emplace(std::move(*stream));
                                done({});
                              });
  });
}

/// The log is a convenience: a guest without one is no failure.
void follow_log(self_pointer self, const shared_args& args) {
  const auto box = std::make_shared<std::optional<ttrpc::stream_socket>>();
  const auto who = "sandbox/" + args->pod->id.str() + "/guest";
  dial(self, args, args->pod->values.agent().log_port, actors::now(self) + log_dial_patience, box)
      .then([args, box, who] { args->ledger->log.emplace(std::move(**box), who, [] {}); },
            [who](const failure& why) { log::debug(who, "no log: {}", why.text); });
}

void ask_features(self_pointer self, const shared_args& args, const request_context& context,
                  const reply_guard<void>& reply) {
  invoke(self, args, agent::call::get_guest_details, {}, context)
      .then(
          [args, reply](const grpc::GuestDetailsResponse& details) {
            args->ledger->features = agent::features_of(details.agent_details());
            reply.answer({});
          },
          [reply](failure why) { reply.answer(tl::unexpected(std::move(why))); });
}

void set_up_sandbox(self_pointer self, const shared_args& args, const connect_agent& wanted,
                    const reply_guard<void>& reply) {
  invoke(self, args, agent::call::create_sandbox, prepare::sandbox(args->pod->id, wanted.hostname),
         wanted.context)
      .then([self, args, context = wanted.context,
             reply] { ask_features(self, args, context, reply); },
            [args, reply](failure why) {
              args->ledger->client.reset();
              reply.answer(tl::unexpected(std::move(why)));
            });
}

void take_connection(const shared_args& args, ttrpc::stream_socket stream) {
  args->ledger->client = std::make_shared<agent::agent_client>(
      std::move(stream), timeouts_of(args->pod->values),
      [me = args->me](const failure& why) { actors::tell(me, agent_closed{why}); });
}

answer<void> connect(self_pointer self, const shared_args& args, const connect_agent& wanted) {
  if (args->ledger->client)
    return {};
  const reply_guard<void> reply{self};
  const auto box = std::make_shared<std::optional<ttrpc::stream_socket>>();
  dial(self, args, args->pod->values.agent().server_port, wanted.context.deadline, box)
      .then(
          [self, args, box, wanted, reply] {
            take_connection(args, std::move(**box));
            follow_log(self, args);
            set_up_sandbox(self, args, wanted, reply);
          },
          [reply](failure why) { reply.answer(tl::unexpected(std::move(why))); });
  return reply;
}

// -- processes
// -------------------------------------------------------------------------------------

answer<void> start(self_pointer self, const shared_args& args, const guest_start& wanted) {
  if (wanted.exec)
    return relay(self, args, agent::call::exec_process, *wanted.exec, wanted.context);
  grpc::StartContainerRequest request;
  request.set_container_id(wanted.key.container.str());
  return relay(self, args, agent::call::start_container, request, wanted.context);
}

answer<void> signal(self_pointer self, const shared_args& args, const guest_signal& wanted) {
  grpc::SignalProcessRequest request;
  request.set_container_id(wanted.key.container.str());
  // The agent takes SIGKILL without an exec id as "every process of the container".
  const bool one = !wanted.all;
  request.set_exec_id(one && wanted.key.exec.empty() ? wanted.key.container.str()
                                                     : wanted.key.exec.str());
  request.set_signal(wanted.signal);
  return relay(self, args, agent::call::signal_process, request, wanted.context);
}

answer<void> resize(self_pointer self, const shared_args& args, const guest_resize& wanted) {
  grpc::TtyWinResizeRequest request;
  request.set_container_id(wanted.key.container.str());
  request.set_exec_id(wanted.key.exec.str());
  request.set_row(wanted.rows);
  request.set_column(wanted.columns);
  return relay(self, args, agent::call::tty_win_resize, request, wanted.context);
}

answer<void> remove(self_pointer self, const shared_args& args, const guest_remove& wanted) {
  grpc::RemoveContainerRequest request;
  request.set_container_id(wanted.container.str());
  const reply_guard<void> reply{self};
  invoke(self, args, agent::call::remove_container, request, wanted.context)
      .then([reply] { reply.answer({}); },
            [self, args, reply](failure why) {
              if (why.code == errc::not_found)
                return reply.answer({});
              if (why.code == errc::deadline_exceeded)
                probe(self, args);
              reply.answer(tl::unexpected(std::move(why)));
            });
  return reply;
}

exit_record exit_of(const grpc::WaitProcessResponse& answer) {
  exit_record out;
  out.status = static_cast<std::uint32_t>(answer.status()) & 0xff;
  out.at = std::chrono::system_clock::now();
  return out;
}

/// The answer goes straight to the process's place, so it survives this actor.
void watch(const shared_args& args, const guest_watch& wanted) {
  const auto client = args->ledger->client;
  if (!client) {
    actors::tell(wanted.observer,
                 guest_lost{wanted.key, {errc::agent_gone, "WaitProcess: not connected", 0}});
    return;
  }
  grpc::WaitProcessRequest request;
  request.set_container_id(wanted.key.container.str());
  request.set_exec_id(wanted.key.exec.str());
  request.set_keep(args->ledger->features.keep_exit);
  client->invoke(agent::call::wait_process, request,
                 [key = wanted.key,
                  observer = wanted.observer](const outcome<grpc::WaitProcessResponse>& answer) {
                   if (answer)
                     actors::tell(observer, guest_exit{key, exit_of(*answer)});
                   else
                     actors::tell(observer, guest_lost{key, answer.error()});
                 });
}

void forget(const shared_args& args, const guest_forget& wanted) {
  const auto& ledger = *args->ledger;
  if (!ledger.client || !ledger.features.keep_exit)
    return;
  grpc::WaitProcessRequest request;
  request.set_container_id(wanted.key.container.str());
  request.set_exec_id(wanted.key.exec.str());
  ledger.client->invoke(agent::call::wait_process, request,
                        [](const outcome<grpc::WaitProcessResponse>&) {});
}

answer<guest_streams> streams(const shared_args& args, const open_streams& wanted) {
  const auto& ledger = *args->ledger;
  if (!ledger.client)
    return actors::refuse(errc::agent_gone, "streams of {}: not connected", wanted.key.to_string());
  return guest_streams{std::make_shared<stdio::agent_streams>(ledger.client, wanted.key,
                                                              ledger.features, wanted.terminal),
                       ledger.features.keep_exit};
}

void closed(const shared_args& args, const failure& why) {
  args->ledger->client.reset();
  if (args->pod->fate.why())
    return; // the machine's end is told by the machine
  log::warn(args->me.path(), "connection lost: {}", why.text);
  actors::tell(args->owner, part_lost{why});
}

} // namespace

agent_actor::behavior_type run_agent(self_pointer self, agent_args given) {
  const auto args = std::make_shared<const agent_args>(std::move(given));
  return {
      [self, args](const connect_agent& wanted) { return connect(self, args, wanted); },
      [args](const disconnect_agent&) -> answer<void> {
        if (const auto client = std::exchange(args->ledger->client, nullptr))
          client->close();
        args->ledger->log.reset();
        return {};
      },
      [self, args](const guest_create& wanted) {
        return relay(self, args, agent::call::create_container, *wanted.request, wanted.context);
      },
      [self, args](const guest_start& wanted) { return start(self, args, wanted); },
      [self, args](const guest_signal& wanted) { return signal(self, args, wanted); },
      [self, args](const guest_resize& wanted) { return resize(self, args, wanted); },
      [self, args](const guest_remove& wanted) { return remove(self, args, wanted); },
      [args](const open_streams& wanted) { return streams(args, wanted); },
      [args](const guest_watch& wanted) { watch(args, wanted); },
      [args](const guest_forget& wanted) { forget(args, wanted); },
      [args](const agent_closed& news) { closed(args, news.why); },
  };
}

} // namespace troupe
