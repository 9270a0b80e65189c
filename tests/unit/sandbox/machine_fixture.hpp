#pragma once

#include "actors/sandbox/hypervisor/asio_watcher.hpp"
#include "actors/sandbox/hypervisor/qemu/qemu.hpp"
#include "tests/support/product_kernel.hpp"
#include "tests/support/scratch.hpp"
#include "tests/support/skip.hpp"

#include <asio/executor_work_guard.hpp>
#include <catch2/catch.hpp>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

/// Real machines for tests: an io thread, a scratch folder, a tiny initrd.
namespace troupe::test {

using namespace std::chrono_literals;

inline time_point in(milliseconds span) {
  return monotonic_clock::now() + span;
}

class io_thread {
public:
  ~io_thread() {
    guard_.reset();
    loop_.stop();
    thread_.join();
  }
  [[nodiscard]] asio::io_context& loop() noexcept { return loop_; }

private:
  asio::io_context loop_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_{loop_.get_executor()};
  std::thread thread_{[this] { loop_.run(); }};
};

/// The events of one machine, to wait for.
class event_log {
public:
  void push(const hypervisor::machine_event& what) {
    const std::lock_guard held{mutex_};
    events_.push_back(what);
    changed_.notify_all();
  }
  template <class Event>
  [[nodiscard]] std::size_t count() const {
    const std::lock_guard held{mutex_};
    return static_cast<std::size_t>(std::count_if(events_.begin(), events_.end(), &holds<Event>));
  }
  template <class Event>
  [[nodiscard]] std::optional<Event> wait_for(milliseconds limit) {
    std::unique_lock held{mutex_};
    const auto find = [&] { return std::find_if(events_.begin(), events_.end(), &holds<Event>); };
    changed_.wait_for(held, limit, [&] { return find() != events_.end(); });
    const auto found = find();
    return found == events_.end() ? std::nullopt : std::optional{std::get<Event>(*found)};
  }

private:
  template <class Event>
  static bool holds(const hypervisor::machine_event& what) {
    return std::holds_alternative<Event>(what);
  }
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<hypervisor::machine_event> events_;
};

/// One entry of a "newc" cpio archive.
inline std::string cpio_entry(std::string_view name, unsigned mode, std::string_view data) {
  auto entry =
      fmt::format("070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}"
                  "{:08x}{:08x}",
                  0, mode, 0, 0, 1, 0, data.size(), 0, 0, 0, 0, name.size() + 1, 0);
  entry += name;
  entry += '\0';
  entry.resize((entry.size() + 3) / 4 * 4, '\0');
  entry += data;
  entry.resize((entry.size() + 3) / 4 * 4, '\0');
  return entry;
}

inline void write_tiny_initrd(const std::string& path) {
  std::ifstream program{TROUPE_TINY_INIT, std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{program}, {}};
  std::ofstream out{path, std::ios::binary};
  out << cpio_entry("dev", 0040755, {}) << cpio_entry("proc", 0040755, {})
      << cpio_entry("init", 0100755, bytes) << cpio_entry("TRAILER!!!", 0, {});
}

/// Ends the whole suite as "skipped" where QEMU or the kernel is missing.
inline void need_machines() {
  for (const auto& path : {std::string{"/usr/bin/qemu-system-x86_64"}, testing::product_kernel()})
    testing::need(std::filesystem::exists(path), path);
}

/// First member of the fixture: a skip must not leave a scratch folder behind.
struct machines_or_skip {
  machines_or_skip() { need_machines(); }
};

struct machine_fixture {
  machine_fixture() {
    config.id = "test-machine";
    config.token = fmt::format("troupe-test-{:016x}", static_cast<unsigned long>(::getpid()));
    config.run_directory = folder.path();
    config.kernel = testing::product_kernel();
    config.initrd = folder.file("initrd");
    config.kernel_params = "troupe.test=idle";
    write_tiny_initrd(config.initrd);
  }
  ~machine_fixture() {
    if (machine)
      (void)machine->stop(in(10s));
  }
  machine_fixture(const machine_fixture&) = delete;
  machine_fixture& operator=(const machine_fixture&) = delete;

  void make() {
    machine = hypervisor::qemu::make(
        watcher, [this](const hypervisor::machine_event& what) { events.push(what); });
    REQUIRE(machine->prepare(config));
  }
  void boot() {
    make();
    const auto started = machine->start(in(30s));
    INFO((started ? "" : started.error().to_string()));
    REQUIRE(started);
  }
  /// Waits until the console has shown `text`.
  [[nodiscard]] bool console_shows(std::string_view text, milliseconds limit = 60s) {
    const auto end = in(limit);
    while (true) {
      for (const auto& line : machine->console_tail())
        if (line.find(text) != line.npos)
          return true;
      if (monotonic_clock::now() > end)
        return false;
      std::this_thread::sleep_for(10ms);
    }
  }

  machines_or_skip needed;
  scratch_folder folder;
  event_log events;
  hypervisor::machine_config config;
  io_thread io;
  hypervisor::asio_watcher watcher{io.loop()};
  std::shared_ptr<hypervisor::driver> machine;
};

} // namespace troupe::test
