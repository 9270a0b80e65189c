// The vsock suite's machine: an emulated q35 with our device behind vhost-user.
#include "actors/devices/unix_socket.hpp"
#include "actors/devices/vhost_user/session.hpp"
#include "actors/devices/virtio/vsock/device.hpp"
#include "messages/vocabulary/log.hpp"
#include "tests/e2e/vsock/machine.hpp"
#include "tests/support/must.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <vector>

namespace troupe::testing {
namespace {

constexpr std::uint64_t guest_cid = 3;
constexpr milliseconds limit{5000};
constexpr seconds boot_limit{60};

std::string kernel() {
  const char* const asked = std::getenv("TROUPE_TEST_KERNEL");
  return asked != nullptr ? asked : TROUPE_KERNEL;
}

// Spares the guest the calibration of its clock, the longest step of an emulated boot.
std::string clock_hint() {
  std::ifstream info{"/proc/cpuinfo"};
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("cpu MHz"))
      return std::to_string(static_cast<long>(std::stod(line.substr(line.find(':') + 1)) * 1000));
  return "1000000";
}

std::vector<std::string> qemu_words(const std::string& socket) {
  return {"qemu-system-x86_64",
          "-nodefaults",
          "-no-user-config",
          "-no-reboot",
          "-display",
          "none",
          "-accel",
          "tcg",
          "-cpu",
          "max",
          "-m",
          "256M",
          "-M",
          "q35,memory-backend=m0",
          "-object",
          "memory-backend-memfd,id=m0,size=256M,share=on",
          "-serial",
          "stdio",
          "-chardev",
          "socket,id=vs,path=" + socket,
          "-device",
          "vhost-user-vsock-pci,chardev=vs",
          "-kernel",
          kernel(),
          "-initrd",
          TROUPE_VSOCK_INITRD,
          "-append",
          "console=ttyS0 quiet panic=-1 cryptomgr.notests mitigations=off "
          "tsc_early_khz=" +
              clock_hint()};
}

// A private folder that goes with the object.
struct scratch {
  std::filesystem::path path = std::filesystem::temp_directory_path() / "troupe-vsock-XXXXXX";
  scratch() {
    auto name = path.string();
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error("make a scratch folder");
    path = name;
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

class qemu_machine final : public vsock_machine {
public:
  qemu_machine() {
    loop_ = must(devices::worker::start("vsock-test"));
    endpoint_ = must(vsock::endpoint::listen(socket_path()));
    const auto socket = (folder_.path / "vhost.sock").string();
    session_ = must(vhost_user::session::start(
        must(devices::listen_unix(socket, 1)), new_device(), *loop_,
        [](vhost_user::session_event, const std::optional<failure>& why) {
          if (why)
            std::printf("device: %s\n", why->to_string().c_str());
        }));
    start(socket);
    await_ready();
  }
  qemu_machine(const qemu_machine&) = delete;
  qemu_machine& operator=(const qemu_machine&) = delete;

  ~qemu_machine() override {
    if (const auto stats = session_->stats(limit))
      std::printf("vhost-user: %lu messages, %lu kicks, %lu chains, %lu bytes, %lu errors\n",
                  stats->messages, stats->kicks, stats->chains, stats->bytes, stats->errors);
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
  }

  std::string socket_path() const override { return (folder_.path / "vsock").string(); }
  void replace_device() override { must(session_->replace_device(new_device(), limit)); }
  bool alive() override { return ::waitpid(child_, nullptr, WNOHANG) == 0; }

private:
  std::unique_ptr<virtio::device> new_device() {
    return std::make_unique<vsock::device>(guest_cid, endpoint_);
  }

  void start(const std::string& socket) {
    auto words = qemu_words(socket);
    std::vector<char*> arguments;
    for (auto& it : words)
      arguments.push_back(it.data());
    arguments.push_back(nullptr);
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      throw std::runtime_error("pipe");
    console_.reset(ends[0]);
    const unique_fd output{ends[1]};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output.get(), 1);
    const auto error =
        ::posix_spawnp(&child_, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0)
      throw std::runtime_error("start qemu-system-x86_64");
  }

  void await_ready() {
    const auto until = monotonic_clock::now() + boot_limit;
    std::string text;
    while (text.find("READY") == text.npos) {
      pollfd ready{console_.get(), POLLIN, 0};
      std::array<char, 4096> buffer{};
      const auto some =
          ::poll(&ready, 1, 1000) == 1 ? ::read(console_.get(), buffer.data(), buffer.size()) : -1;
      if (some > 0)
        text.append(buffer.data(), static_cast<std::size_t>(some));
      if (some == 0 || monotonic_clock::now() > until)
        throw std::runtime_error("the guest did not come up: " + text);
    }
  }

  scratch folder_;
  std::unique_ptr<devices::worker> loop_;
  std::shared_ptr<vsock::endpoint> endpoint_;
  std::unique_ptr<vhost_user::session> session_;
  unique_fd console_;
  pid_t child_ = 0;
};

} // namespace

vsock_machine& machine() {
  static const auto it = [] {
    if (::access(kernel().c_str(), R_OK) != 0) {
      std::printf("skipped: needs a guest kernel, %s\n", kernel().c_str());
      std::fflush(stdout);
      ::_exit(77);
    }
    log::set_sink([](const log::record& what) {
      std::printf("%.*s: %.*s\n", static_cast<int>(what.who.size()), what.who.data(),
                  static_cast<int>(what.text.size()), what.text.data());
    });
    return std::make_unique<qemu_machine>();
  }();
  return *it;
}

} // namespace troupe::testing
