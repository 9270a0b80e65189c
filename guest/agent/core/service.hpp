#pragma once

#include "guest/agent/core/sandbox.hpp"
#include "messages/ttrpc/server.hpp"

namespace troupe::guest {

/// Puts grpc.AgentService and grpc.Health into the server's table. What is not listed is answered
/// UNIMPLEMENTED by the server. Handlers run on the server's strand, which is the loop's thread;
/// `to` must outlive the server.
void add_services(ttrpc::server& server, sandbox& to);

} // namespace troupe::guest
