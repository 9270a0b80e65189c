#pragma once

#include "messages/ttrpc/client.hpp"
#include "messages/vocabulary/outcome.hpp"

#include "agent.pb.h"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include <sys/types.h>

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

/// An agent run on this host as an ordinary process, with a unix socket, a directory and a busybox
/// root of its own, and a client that waits for answers. Needs root, static busybox and cgroup v2
/// (with or without controllers).
namespace troupe::guest::test {

/// Empty when this machine can run it, else what is missing.
[[nodiscard]] std::string what_is_missing();

class host_agent {
public:
  host_agent();
  host_agent(const host_agent&) = delete;
  host_agent& operator=(const host_agent&) = delete;
  ~host_agent();

  /// Sends a call; the future is its answer's payload.
  [[nodiscard]] std::future<outcome<std::string>> start(const std::string& method,
                                                        const std::string& payload) const;

  /// Sends a call and waits, ten seconds at most.
  template <class Request>
  [[nodiscard]] outcome<std::string> call(const std::string& method, const Request& request) const {
    auto pending = start(method, request.SerializeAsString());
    if (pending.wait_for(seconds{10}) != std::future_status::ready)
      return fail(errc::deadline_exceeded, "{}", method);
    return pending.get();
  }

  template <class Reply, class Request>
  [[nodiscard]] Reply ask(const std::string& method, const Request& request) const {
    const auto answer = call(method, request);
    if (!answer)
      throw std::runtime_error(method + ": " + answer.error().to_string());
    Reply reply;
    reply.ParseFromString(*answer);
    return reply;
  }

  /// A request for a busybox container that runs `script`, with the mounts and namespaces a runtime
  /// sends.
  [[nodiscard]] grpc::CreateContainerRequest container(const std::string& id,
                                                       const std::string& script) const;

  /// Create and start.
  [[nodiscard]] outcome<std::string> run(const grpc::CreateContainerRequest& request) const;
  /// Everything a stream says up to its end.
  [[nodiscard]] std::string drain(const std::string& id, const std::string& exec = "",
                                  const std::string& method = "ReadStdout") const;
  [[nodiscard]] int wait(const std::string& id, const std::string& exec = "",
                         bool keep = false) const;
  [[nodiscard]] outcome<std::string> signal(const std::string& id, const std::string& exec,
                                            int number) const;
  [[nodiscard]] outcome<std::string> remove(const std::string& id) const;

  /// A private copy of the busybox root, for containers that write.
  [[nodiscard]] std::filesystem::path rootfs(const std::string& id) const;
  [[nodiscard]] const std::filesystem::path& dir() const noexcept { return dir_; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  /// What is left of its containers: processes in its cgroup, mounts and cgroups of its directory.
  [[nodiscard]] std::vector<std::string> leftovers() const;

private:
  void spawn();
  void connect();

  std::filesystem::path dir_;
  std::filesystem::path cgroup_;
  pid_t pid_ = -1;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::unique_ptr<ttrpc::client> client_;
  std::thread thread_;
};

/// The one agent of a test program.
[[nodiscard]] host_agent& shared_agent();

} // namespace troupe::guest::test
