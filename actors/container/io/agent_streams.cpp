#include "actors/container/io/agent_streams.hpp"

#include <utility>

namespace troupe::stdio {

void agent_streams::read(output which, std::uint64_t offset, std::uint32_t most,
                         std::function<void(outcome<std::string>)> done) {
  grpc::ReadStreamRequest request;
  request.set_container_id(process_.container.str());
  request.set_exec_id(process_.exec.str());
  request.set_len(most);
  if (features_.read_offset)
    request.set_offset(offset);
  const auto& call = which == output::out ? agent::call::read_stdout : agent::call::read_stderr;
  agent_->invoke(call, request, [done = std::move(done)](outcome<grpc::ReadStreamResponse> answer) {
    done(std::move(answer).map(
        [](grpc::ReadStreamResponse&& response) { return std::move(*response.mutable_data()); }));
  });
}

grpc::WriteStreamRequest agent_streams::write_request(std::string bytes) const {
  grpc::WriteStreamRequest request;
  request.set_container_id(process_.container.str());
  request.set_exec_id(process_.exec.str());
  request.set_data(std::move(bytes));
  return request;
}

void agent_streams::write(std::string bytes, std::function<void(outcome<std::size_t>)> done) {
  agent_->invoke(agent::call::write_stdin, write_request(std::move(bytes)),
                 [done = std::move(done)](const outcome<grpc::WriteStreamResponse>& answer) {
                   done(answer.map([](const grpc::WriteStreamResponse& response) {
                     return std::size_t{response.len()};
                   }));
                 });
}

// An empty write is the end of stdin for every agent. Not so on a terminal of kata-agent: it would
// give up the terminal and with it the output that is still to come; there the process simply gets
// no more input.
void agent_streams::close_input(std::function<void(outcome<void>)> done) {
  if (terminal_ && !features_.read_offset)
    return done({});
  agent_->invoke(agent::call::write_stdin, write_request({}),
                 [done = std::move(done)](const outcome<grpc::WriteStreamResponse>& answer) {
                   done(answer.map([](const grpc::WriteStreamResponse&) {}));
                 });
}

} // namespace troupe::stdio
