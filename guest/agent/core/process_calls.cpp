#include "guest/agent/core/background.hpp"
#include "guest/agent/core/sandbox.hpp"
#include "guest/agent/core/signal_mask.hpp"

#include <fcntl.h>
#include <signal.h>

#include <algorithm>
#include <limits>

namespace troupe::guest {
namespace {

/// Text of /proc/PID/status, empty when the process is gone.
std::string read_status(pid_t pid) {
  const unique_fd fd{::open(fmt::format("/proc/{}/status", pid).c_str(), O_RDONLY | O_CLOEXEC)};
  std::string text(4096, '\0');
  const auto got = fd ? ::read(fd.get(), text.data(), text.size()) : 0;
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

/// The first process of a pid namespace does not die of signals it does not handle; a polite stop
/// would then never work.
int effective_signal(const process& one, bool init, int number) {
  return init && number == SIGTERM && !takes_signal(read_status(one.pid()), SIGTERM) ? SIGKILL
                                                                                     : number;
}

outcome<std::shared_ptr<output_stream>> stream_of(const std::shared_ptr<output_stream>& stream,
                                                  const process& one, std::string_view name) {
  if (!stream)
    return fail(errc::failed_precondition, "process {}: has no {}", one.name(), name);
  return stream;
}

void read_from(const outcome<std::shared_ptr<output_stream>>& stream,
               const grpc::ReadStreamRequest& request, answer<grpc::ReadStreamResponse> done) {
  if (!stream)
    return done(tl::unexpected(stream.error()));
  const auto offset =
      request.has_offset() ? std::optional<std::uint64_t>{request.offset()} : std::nullopt;
  (*stream)->read(request.len(), offset, [done = std::move(done)](outcome<std::string> data) {
    done(std::move(data).map([](std::string bytes) {
      grpc::ReadStreamResponse reply;
      reply.set_data(std::move(bytes));
      return reply;
    }));
  });
}

grpc::WaitProcessResponse to_response(const exit_info& info) {
  grpc::WaitProcessResponse reply;
  reply.set_status(info.status);
  reply.set_exited_at_ns(
      std::chrono::duration_cast<std::chrono::nanoseconds>(info.when.time_since_epoch()).count());
  return reply;
}

} // namespace

void sandbox::signal_process(const grpc::SignalProcessRequest& request, answer<nothing> done) {
  const auto number = static_cast<int>(request.signal());
  if (request.signal() == 0 || request.signal() >= static_cast<std::uint32_t>(NSIG))
    return done(fail(errc::invalid_argument, "signal: {} is none", request.signal()));
  const auto in = find(request.container_id());
  if (!in)
    return done(tl::unexpected(in.error()));
  const bool init = request.exec_id().empty() || request.exec_id() == request.container_id();
  if (request.exec_id().empty() && number == SIGKILL)
    return kill_all(**in, std::move(done));
  const auto one = (*in)->find(request.exec_id());
  if (!one)
    return done(tl::unexpected(one.error()));
  done((*one)->signal(effective_signal(**one, init, number)).map([] { return nothing{}; }));
}

/// Also during a create, which then ends with `cancelled`.
void sandbox::kill_all(const container& all, answer<nothing> done) {
  if (all.phase() == container_phase::creating)
    *all.cancelled = true;
  if (all.group)
    (void)all.group->kill(); // without cgroup.kill the init takes its pid namespace with it
  for (const auto& [exec, one] : all.processes())
    (void)one->signal(SIGKILL);
  done(nothing{});
}

void sandbox::wait_process(const grpc::WaitProcessRequest& request,
                           answer<grpc::WaitProcessResponse> done) {
  const auto one = find_process(request.container_id(), request.exec_id());
  if (!one)
    return done(tl::unexpected(one.error()));
  (*one)->wait([this, request, done = std::move(done)](outcome<exit_info> info) {
    if (info && !request.keep()) // after every other caller that waits was told
      asio::post(io_, [this, request] {
        if (const auto in = find(request.container_id()))
          (*in)->forget(request.exec_id());
      });
    done(std::move(info).map(to_response));
  });
}

void sandbox::read_stdout(const grpc::ReadStreamRequest& request,
                          answer<grpc::ReadStreamResponse> done) {
  const auto one = find_process(request.container_id(), request.exec_id());
  if (!one)
    return done(tl::unexpected(one.error()));
  read_from(stream_of((*one)->output(), **one, "stdout"), request, std::move(done));
}

void sandbox::read_stderr(const grpc::ReadStreamRequest& request,
                          answer<grpc::ReadStreamResponse> done) {
  const auto one = find_process(request.container_id(), request.exec_id());
  if (!one)
    return done(tl::unexpected(one.error()));
  read_from(stream_of((*one)->error(), **one, "stderr"), request, std::move(done));
}

void sandbox::write_stdin(const grpc::WriteStreamRequest& request,
                          answer<grpc::WriteStreamResponse> done) {
  const auto one = find_process(request.container_id(), request.exec_id());
  if (!one)
    return done(tl::unexpected(one.error()));
  const auto input = (*one)->input();
  if (!input)
    return done(fail(errc::failed_precondition, "process {}: has no stdin", (*one)->name()));
  if (request.data().empty()) {
    input->close();
    return done(grpc::WriteStreamResponse{});
  }
  input->write(request.data(), [done = std::move(done)](outcome<std::uint32_t> count) {
    done(std::move(count).map([](std::uint32_t bytes) {
      grpc::WriteStreamResponse reply;
      reply.set_len(bytes);
      return reply;
    }));
  });
}

void sandbox::close_stdin(const grpc::CloseStdinRequest& request, answer<nothing> done) {
  const auto one = find_process(request.container_id(), request.exec_id());
  if (!one)
    return done(tl::unexpected(one.error()));
  if (const auto input = (*one)->input())
    input->close();
  done(nothing{});
}

void sandbox::resize_terminal(const grpc::TtyWinResizeRequest& request, answer<nothing> done) {
  constexpr auto most = std::numeric_limits<std::uint16_t>::max();
  if (request.row() > most || request.column() > most)
    return done(fail(errc::invalid_argument, "row, column: {} x {} is above {}", request.row(),
                     request.column(), most));
  const auto one = find_process(request.container_id(), request.exec_id());
  if (!one)
    return done(tl::unexpected(one.error()));
  done((*one)
           ->resize(static_cast<std::uint16_t>(request.row()),
                    static_cast<std::uint16_t>(request.column()))
           .map([] { return nothing{}; }));
}

} // namespace troupe::guest
