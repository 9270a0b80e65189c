#pragma once

#include "messages/process.hpp"

#include <memory>
#include <string>

namespace grpc {
class CreateContainerRequest;
class ExecProcessRequest;
} // namespace grpc

namespace troupe {

namespace stdio {
class stream_source;
}

/// Dials the guest agent and sets its sandbox up. On a live connection it is answered at once.
/// deadline_exceeded names what was waited for and the last reason; machine_gone.
struct connect_agent {
  request_context context;
  std::string hostname;
};

/// Ends the connection.
struct disconnect_agent {
  request_context context;
};

/// Makes a container in the guest, its init parked. The agent's own refusals come through.
struct guest_create {
  request_context context;
  std::shared_ptr<const grpc::CreateContainerRequest> request;

  /// What a repetition is answered (see actors::ask_again).
  static bool done_before(errc code) { return code == errc::already_exists; }
};

/// Lets a parked init run, or with `exec` starts a further process.
struct guest_start {
  request_context context;
  process_key key;
  std::shared_ptr<const grpc::ExecProcessRequest> exec;

  /// An init runs already, an exec's id is taken.
  static bool done_before(errc code) {
    return code == errc::failed_precondition || code == errc::already_exists;
  }
};

/// not_found: the process has ended.
struct guest_signal {
  request_context context;
  process_key key;
  std::uint32_t signal = 0;
  bool all = false;
};

struct guest_resize {
  request_context context;
  process_key key;
  std::uint32_t columns = 0;
  std::uint32_t rows = 0;
};

/// Kills what is left of a container and removes it. One that the agent does not know is a success.
struct guest_remove {
  request_context context;
  container_id container;
};

/// Asks to be told when a process ends: the observer gets one guest_exit or one guest_lost.
struct guest_watch {
  process_key key;
  process_ref observer;
};

/// Lets the agent forget an exit that it kept for us: the process was deleted.
struct guest_forget {
  process_key key;
};

/// What a process's pumps read from and write to: they call the agent themselves, so that the
/// guest's bytes pass no mailbox.
struct open_streams {
  request_context context;
  process_key key;
  bool terminal = false;
};
struct guest_streams {
  std::shared_ptr<stdio::stream_source> source;
  /// The agent keeps an exit until the container is removed: it may be asked for at once.
  bool keeps_exit = false;
};

/// The connection ended without our doing.
struct agent_closed {
  failure why;
};

/// The connection to the agent in one guest.
using agent_actor =
    actors::protocol<actors::request<connect_agent, void>, actors::request<disconnect_agent, void>,
                     actors::request<guest_create, void>, actors::request<guest_start, void>,
                     actors::request<guest_signal, void>, actors::request<guest_resize, void>,
                     actors::request<guest_remove, void>,
                     actors::request<open_streams, guest_streams>, actors::notice<guest_watch>,
                     actors::notice<guest_forget>, actors::notice<agent_closed>>;
using agent_ref = actors::ref<agent_actor>;

} // namespace troupe

TROUPE_LOCAL_MESSAGE(troupe::connect_agent)
TROUPE_LOCAL_MESSAGE(troupe::disconnect_agent)
TROUPE_LOCAL_MESSAGE(troupe::guest_create)
TROUPE_LOCAL_MESSAGE(troupe::guest_start)
TROUPE_LOCAL_MESSAGE(troupe::guest_signal)
TROUPE_LOCAL_MESSAGE(troupe::guest_resize)
TROUPE_LOCAL_MESSAGE(troupe::guest_remove)
TROUPE_LOCAL_MESSAGE(troupe::open_streams)
TROUPE_LOCAL_MESSAGE(troupe::guest_streams)
TROUPE_LOCAL_MESSAGE(troupe::guest_watch)
TROUPE_LOCAL_MESSAGE(troupe::guest_forget)
TROUPE_LOCAL_MESSAGE(troupe::agent_closed)
