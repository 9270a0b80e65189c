#pragma once

#include "actors/agent/agent_client.hpp"
#include "actors/container/io/stream_source.hpp"
#include "messages/task.hpp"

#include <memory>

namespace troupe::stdio {

/// The streams of a process as its agent serves them, by ReadStdout, ReadStderr and WriteStdin.
class agent_streams final : public stream_source {
public:
  agent_streams(std::shared_ptr<const agent::agent_client> agent, process_key process,
                agent::agent_features features, bool terminal)
      : agent_(std::move(agent)), process_(std::move(process)), features_(features),
        terminal_(terminal) {}

  void read(output which, std::uint64_t offset, std::uint32_t most,
            std::function<void(outcome<std::string>)> done) override;
  void write(std::string bytes, std::function<void(outcome<std::size_t>)> done) override;
  void close_input(std::function<void(outcome<void>)> done) override;

private:
  [[nodiscard]] grpc::WriteStreamRequest write_request(std::string bytes) const;

  std::shared_ptr<const agent::agent_client> agent_;
  process_key process_;
  agent::agent_features features_;
  bool terminal_;
};

} // namespace troupe::stdio
