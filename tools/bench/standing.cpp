#include "tools/bench/standing.hpp"

#include "tools/bench/pod_machine.hpp"

#include <array>
#include <cerrno>
#include <sys/mman.h>
#include <sys/socket.h>

namespace troupe::bench {
namespace {

constexpr milliseconds patience{30'000};

} // namespace

outcome<standing> standing::start(const std::vector<std::string>& argv, const stop_signal& stop) {
  std::array<int, 2> fds{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0)
    return fail_errno("socketpair", errno);
  unique_fd ours{fds[0]};
  unique_fd theirs{fds[1]};
  const unique_fd output{::memfd_create("output", MFD_CLOEXEC)};
  const std::array inherited{theirs.get()};
  standing out{TRY(program::start(argv, output.get(), inherited)), std::move(ours)};
  theirs.reset(); // else its end would not be seen
  if (auto up = out.await(stop); !up)
    return within(fmt::format("{} [{}]", argv.front(), said(output.get())), up.error());
  const std::chrono::duration<double, std::milli> took =
      monotonic_clock::now() - out.process_.began();
  out.took_ms_ = took.count();
  return out;
}

outcome<void> standing::another(const stop_signal& stop) const {
  const char byte = 0;
  if (::send(socket_.get(), &byte, 1, MSG_NOSIGNAL) != 1)
    return fail_errno("ask for a machine", errno);
  return await(stop);
}

/// Whatever is said first: QEMU greets, ours tells a byte.
outcome<void> standing::await(const stop_signal& stop) const {
  TRY(stop.wait_for(socket_.get(), monotonic_clock::now() + patience));
  std::array<char, 4096> bytes{};
  if (::read(socket_.get(), bytes.data(), bytes.size()) <= 0)
    return fail(errc::machine_gone, "ended before its machine stood");
  return {};
}

outcome<std::vector<std::string>> qemu_standing(const std::string& kernel,
                                                const std::string& initrd) {
  std::vector<std::string> argv{TRY(find_program("qemu-system-x86_64")),
                                "-M",
                                "microvm,memory-backend=ram",
                                "-object",
                                "memory-backend-memfd,id=ram,size=128M,share=on",
                                "-m",
                                "128M",
                                "-accel",
                                "kvm",
                                "-cpu",
                                "host,-arch-capabilities",
                                "-nodefaults",
                                "-no-user-config",
                                "-display",
                                "none",
                                "-S",
                                "-chardev",
                                "socket,id=monitor,fd=3",
                                "-mon",
                                "chardev=monitor,mode=control"};
  if (!kernel.empty())
    argv.insert(argv.end(), {"-kernel", kernel});
  if (!initrd.empty())
    argv.insert(argv.end(), {"-initrd", initrd});
  return argv;
}

outcome<std::vector<std::string>> ours_standing(const std::string& build,
                                                const std::string& folder) {
  const auto disk = folder + "/disk";
  const auto kernel = folder + "/kernel";
  TRY(make_disk(disk));
  TRY(make_least_kernel(kernel));
  return std::vector<std::string>{build + "/libexec/troupe/bench-machine", "/run", disk, kernel};
}

} // namespace troupe::bench
