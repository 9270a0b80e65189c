#include "guest/agent/boot/init.hpp"
#include "guest/agent/boot/listen.hpp"
#include "guest/agent/boot/log_output.hpp"
#include "guest/agent/boot/options.hpp"
#include "guest/agent/core/sandbox.hpp"
#include "guest/agent/core/service.hpp"
#include "messages/ttrpc/server.hpp"
#include "messages/vocabulary/log.hpp"

#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>

namespace troupe::guest {
namespace {

constexpr const char* who = "agent";
/// For the answer of DestroySandbox to leave.
constexpr milliseconds drain{500};

/// Descriptors of the agent: a container's init and each exec take up to seven.
constexpr rlim_t wanted_descriptors = 65536;

outcome<agent_options> read_options(bool init, std::span<char* const> arguments) {
  agent_options options;
  if (init) { // its arguments are words of the command line nobody else wanted
    TRY(apply_cmdline(read_cmdline(), options));
    return options;
  }
  TRY(apply_environment(options));
  TRY(apply_arguments(arguments, options));
  return options;
}

outcome<void> serve_log(log_output& output, const agent_options& options) {
  if (options.log_vport == 0)
    return {};
  output.serve(TRY(listen_on(vsock_address{VMADDR_CID_ANY, options.log_vport}, 1)));
  return {};
}

void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_max = std::max(limit.rlim_max, wanted_descriptors);
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    log::debug(who, "RLIMIT_NOFILE: errno {}", errno);
}

/// Runs callbacks. What one of them throws (no memory for a message) concerns its caller, who will
/// see a deadline pass; the pod goes on.
void run_guarded(asio::io_context& io) noexcept {
  try {
    io.run();
  } catch (const std::exception& error) {
    log::error(who, "a callback failed: {}", error.what());
  }
}

[[noreturn]] void fall(const char* last_words) {
  (void)!::write(STDERR_FILENO, last_words, std::strlen(last_words));
  power_off();
}

/// Serves until DestroySandbox.
outcome<void> serve(asio::io_context& io, const agent_options& options) {
  const auto address = TRY(parse_server_address(options.server_address));
  ttrpc::server_options server_options;
  server_options.name = "agent";
  ttrpc::server server{io, server_options};
  sandbox pod{io, options, [&server, &io] { server.stop(drain, [&io] { io.stop(); }); }};
  TRY(pod.start());
  add_services(server, pod);
  TRY(server.listen(TRY(listen_on(address, SOMAXCONN))));
  log::info(who, "listening on {}", describe(address));
  while (!io.stopped())
    run_guarded(io);
  return {};
}

outcome<void> run(asio::io_context& io, log_output& output, bool init,
                  std::span<char* const> arguments) {
  if (init)
    TRY(mount_system());
  const auto options = TRY(read_options(init, arguments));
  log::set_level(options.log_level);
  ::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  if (init)
    settle_system();
  shield_from_oom();
  TRY(serve_log(output, options));
  return serve(io, options);
}

/// Everything between the first line of the log and the last.
int logged_run(bool init, std::span<char* const> arguments) {
  asio::io_context io{1};
  const unique_fd console{::open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)};
  const auto output =
      std::make_shared<log_output>(io, init && console ? console.get() : STDERR_FILENO);
  output->install();
  const auto done = run(io, *output, init, arguments);
  if (!done)
    log::error(who, "{}", done.error().to_string());
  log::set_sink({});
  return done ? 0 : 1;
}

/// Process 1 must not exit, whatever happens to it: the kernel would panic, with nobody to say why.
void die_by_power_off() {
  std::set_terminate([] { fall("troupe-agent: terminated\n"); });
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT})
    ::signal(signal, [](int) { fall("troupe-agent: crashed\n"); });
}

} // namespace
} // namespace troupe::guest

int main(int argc, char** argv) {
  using namespace troupe::guest;
  const bool init = ::getpid() == 1;
  if (init) {
    die_by_power_off();
    if (const auto own = enter_own_root(); !own)
      std::fprintf(stderr, "troupe-agent: %s\n", own.error().text.c_str());
  }
  const int status = logged_run(init, {argv + 1, static_cast<std::size_t>(argc - 1)});
  if (init)
    power_off();
  return status;
}
