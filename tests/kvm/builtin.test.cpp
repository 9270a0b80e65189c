// The driver of machines within this process: every verb, and its ends.
#include "actors/sandbox/hypervisor/builtin/builtin.hpp"
#include "actors/devices/transport/mmio/session.hpp"
#include "actors/devices/virtio/console/device.hpp"
#include "actors/devices/virtio/rng/device.hpp"
#include "tests/kvm/bare_machine.hpp"
#include "tests/kvm/footprint.hpp"
#include "tests/kvm/machine.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <future>
#include <mutex>
#include <thread>

using namespace troupe;
using namespace troupe::testing;
using namespace troupe::hypervisor;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

time_point in(milliseconds span) {
  return monotonic_clock::now() + span;
}

/// What the owner of a driver hears.
class listener {
public:
  event_handler handler() {
    return [this](const machine_event& what) {
      const std::lock_guard held{mutex_};
      heard_.push_back(what);
    };
  }
  template <class Event>
  std::size_t count() const {
    const std::lock_guard held{mutex_};
    return static_cast<std::size_t>(std::ranges::count_if(
        heard_, [](const auto& it) { return std::holds_alternative<Event>(it); }));
  }
  bool ended_last() const {
    const std::lock_guard held{mutex_};
    return !heard_.empty() && std::holds_alternative<machine_ended>(heard_.back());
  }
  exit_info how() const {
    const std::lock_guard held{mutex_};
    return std::get<machine_ended>(heard_.back()).how;
  }

private:
  mutable std::mutex mutex_;
  std::vector<machine_event> heard_;
};

struct bench {
  bench() {
    config.id = "p1";
    config.token = "t";
    config.run_directory = folder.path();
    config.initrd = folder.file("initrd");
    config.memory = mib(64);
    std::ofstream{config.initrd} << "nothing that a bare guest reads";
    use("spin");
  }
  void use(const std::string& guest) { config.kernel = guest_file(guest); }
  std::shared_ptr<driver> make() { return builtin::make(board, heard.handler()); }
  std::shared_ptr<driver> started(const std::string& guest, const std::string& words = {}) {
    use(guest);
    config.kernel_params = words;
    auto it = make();
    must(it->prepare(config));
    must(it->start(in(guest_patience)));
    return it;
  }

  test::scratch_folder folder;
  machine_config config;
  std::shared_ptr<mmio::board> board = std::make_shared<mmio::board>();
  listener heard;
};

/// Offers a device whose session the test keeps, as its actor would.
struct offered_device {
  using maker = std::function<std::unique_ptr<virtio::device>()>;
  static std::unique_ptr<virtio::device> entropy() { return std::make_unique<rng::device>(); }

  explicit offered_device(mmio::board& to, maker make = entropy) {
    must(to.offer("rng",
                  [this, make = std::move(make)](
                      const mmio::attachment& at) -> outcome<std::shared_ptr<mmio::session>> {
                    if (refuse)
                      return fail(errc::host_io, "no device today");
                    if (hold.valid())
                      hold.wait();
                    mmio::session_options how;
                    how.base = at.window.registers.start;
                    how.gsi = at.window.gsi;
          how.patience = patience;
                    machine = at.machine;
                    session = must(mmio::session::start(make(), at.ram, *loop, *machine, how,
                                                        {[] {}, [](const failure&) {}}));
                    return session;
                  }));
  }
  void drop() {
    session.reset();
    machine.reset();
  }

  bool refuse = false;
  /// Of a processor that waits for the device.
  milliseconds patience{1000};
  std::shared_future<void> hold;
  std::unique_ptr<devices::worker> loop = must(devices::worker::start("builtin"));
  std::shared_ptr<mmio::machine_port> machine;
  std::shared_ptr<mmio::session> session;
};

} // namespace

TEST_CASE("builtin: prepare refuses what cannot be, and names the key") {
  bench b;
  const auto it = b.make();
  const auto refused = [&](auto change, errc code, const char* key) {
    auto config = b.config;
    change(config);
    const auto answer = it->prepare(config);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == code);
    CHECK_THAT(answer.error().text, StartsWith(key));
  };
  refused([](auto& c) { c.kernel = "/nowhere"; }, errc::not_found, "kernel");
  refused([](auto& c) { c.initrd = "/nowhere"; }, errc::not_found, "initrd");
  refused([](auto& c) { c.kernel = "relative"; }, errc::invalid_argument, "kernel");
  refused([](auto& c) { c.vcpus = 0; }, errc::invalid_argument, "default_vcpus");
  refused([](auto& c) { c.memory = mib(1); }, errc::invalid_argument, "default_memory");
  refused([](auto& c) { c.kernel_params = std::string(5000, 'x'); }, errc::invalid_argument,
          "kernel_params");
  CHECK(it->start(in(guest_patience)).error().code == errc::failed_precondition);
  CHECK(it->prepare(b.config));
}

TEST_CASE("builtin: verbs before the start say so; a stop forbids it") {
  bench b;
  const auto it = b.make();
  must(it->prepare(b.config));
  CHECK(it->pause(in(guest_patience)).error().code == errc::failed_precondition);
  CHECK(it->metrics().error().code == errc::failed_precondition);
  CHECK(it->wait(in(milliseconds{1})).error().code == errc::deadline_exceeded);
  CHECK_FALSE(it->process());
  CHECK(it->console_tail().empty());
  CHECK(must(it->stop(in(guest_patience))).reason == end_reason::stopped);
  CHECK(it->start(in(guest_patience)).error().code == errc::failed_precondition);
  CHECK(b.heard.count<machine_ended>() == 0);
}

TEST_CASE("builtin: a start that fails leaves nothing and tells no end") {
  bench b;
  offered_device device{*b.board};
  const auto before = measure();
  const auto it = b.make();
  SECTION("a kernel that is none") {
    b.config.kernel = b.config.initrd;
    must(it->prepare(b.config));
    const auto failed = it->start(in(guest_patience));
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == errc::invalid_argument);
    CHECK_THAT(failed.error().text, Contains("kernel: neither an ELF file nor a bzImage"));
  }
  SECTION("a device that does not come") {
    device.refuse = true;
    must(it->prepare(b.config));
    CHECK_THAT(it->start(in(guest_patience)).error().text, Contains("rng: no device today"));
  }
  SECTION("a deadline that has passed") {
    must(it->prepare(b.config));
    CHECK(it->start(in(milliseconds{-1})).error().code == errc::deadline_exceeded);
  }
  device.drop();
  CHECK(settled(before) == before);
  CHECK(b.heard.count<machine_ended>() == 0);
  CHECK(must(it->stop(in(guest_patience))).reason == end_reason::failed);
  CHECK(must(it->wait(in(guest_patience))).reason == end_reason::failed);
  CHECK(it->pause(in(guest_patience)).error().code == errc::machine_gone);
  CHECK(it->start(in(guest_patience)).error().code == errc::failed_precondition);
}

TEST_CASE("builtin: runs, pauses, resumes, tells numbers, stops twice with one end") {
  bench b;
  const auto before = measure();
  const auto it = b.started("spin");
  CHECK(it->prepare(b.config).error().code == errc::failed_precondition);
  CHECK(it->start(in(guest_patience)).error().code == errc::failed_precondition);
  CHECK(must(it->metrics()).guest_memory == mib(64));
  CHECK(must(it->metrics()).vcpus == 1);
  CHECK(must(it->metrics()).resident > 0);
  CHECK(it->process().value().pid > 0);
  must(it->pause(in(guest_patience)));
  must(it->resume(in(guest_patience)));
  CHECK(b.heard.count<machine_paused>() == 1);
  CHECK(b.heard.count<machine_resumed>() == 1);
  const auto began = monotonic_clock::now();
  const auto first = must(it->stop(in(guest_patience)));
  CHECK(monotonic_clock::now() - began < teardown_bound);
  CHECK(first.reason == end_reason::stopped);
  CHECK(must(it->stop(in(guest_patience))).text == first.text);
  CHECK(must(it->wait(in(guest_patience))).text == first.text);
  CHECK(b.heard.count<machine_ended>() == 1);
  CHECK(b.heard.ended_last());
  CHECK(it->pause(in(guest_patience)).error().code == errc::machine_gone);
  CHECK(it->metrics().error().code == errc::machine_gone);
  CHECK_FALSE(it->process());
  CHECK(settled(before) == before);
}

TEST_CASE("builtin: a pause stops the devices, too, and loses nothing of what comes meanwhile") {
  bench b;
  b.config.bare = true;
  std::promise<void> guest_waits;
  const auto port = std::make_shared<console::port>([&](std::string_view text) {
    if (text.ends_with("\n"))
      guest_waits.set_value();
  });
  offered_device device{*b.board, [&] { return std::make_unique<console::device>(port); }};
  const auto it = b.started("console");
  REQUIRE(guest_waits.get_future().wait_for(guest_patience) == std::future_status::ready);
  must(it->pause(in(guest_patience)));
  const auto before = must(device.session->stats(guest_patience)).chains;
  must(port->type("here\n"));
  must(it->pause(in(guest_patience))); // stands already
  CHECK(must(device.session->stats(guest_patience)).chains == before);
  CHECK(it->wait(in(milliseconds{50})).error().code == errc::deadline_exceeded);
  must(it->resume(in(guest_patience)));
  const auto how = must(it->wait(in(guest_patience)));
  CHECK(how.text == "exit code: exit code 0");
  CHECK(how.status == 0);
  must(it->stop(in(guest_patience)));
  device.drop();
}

TEST_CASE("builtin: a pause that a hung device does not follow is taken back") {
  bench b;
  offered_device device{*b.board};
  const auto it = b.started("spin");
  std::promise<void> let_go;
  device.loop->post("hang", [go = let_go.get_future().share()] { go.wait(); });
  const auto paused = it->pause(in(milliseconds{50}));
  REQUIRE_FALSE(paused);
  CHECK(paused.error().code == errc::deadline_exceeded);
  CHECK_THAT(paused.error().text, Contains("mmio/rng: pause"));
  for (const auto end = in(guest_patience); monotonic_clock::now() < end;)
    if (it->processors().front()->where() == vcpu::phase::running)
      break;
  CHECK(it->processors().front()->where() == vcpu::phase::running);
  CHECK(b.heard.count<machine_paused>() == 0);
  let_go.set_value();
  must(it->stop(in(guest_patience)));
  device.drop();
}

TEST_CASE("builtin: a resume that a hung device does not follow fails, and tells that it runs") {
  bench b;
  offered_device device{*b.board};
  const auto it = b.started("spin");
  must(it->pause(in(guest_patience)));
  std::promise<void> let_go;
  device.loop->post("hang", [go = let_go.get_future().share()] { go.wait(); });
  const auto resumed = it->resume(in(milliseconds{50}));
  REQUIRE_FALSE(resumed);
  CHECK_THAT(resumed.error().text, Contains("mmio/rng: resume"));
  CHECK(b.heard.count<machine_resumed>() == 1);
  let_go.set_value();
  must(it->stop(in(guest_patience)));
  device.drop();
}

TEST_CASE("builtin: the guest's own end is told once, under its name") {
  const auto [guest, reason, text] = GENERATE(table<const char*, end_reason, const char*>({
      {"power_off", end_reason::guest_shutdown, "power off"},
      {"reset", end_reason::guest_reset, "reset"},
      {"panic", end_reason::guest_panic, "panic"},
      {"triple", end_reason::guest_reset, "fault: triple fault: rip="},
      {"refused", end_reason::failed, "failed: KVM cannot emulate the instruction: rip="},
  }));
  bench b;
  const auto before = measure();
  {
    const auto it = b.started(guest);
    const auto how = must(it->wait(in(guest_patience)));
    CHECK(how.reason == reason);
    CHECK_THAT(how.text, StartsWith(text));
    CHECK(it->resume(in(guest_patience)).error().code == errc::machine_gone);
    CHECK(must(it->stop(in(guest_patience))).text == how.text);
    CHECK(b.heard.count<machine_ended>() == 1);
    CHECK(b.heard.how().reason == reason);
  }
  CHECK(settled(before) == before);
  CHECK(b.heard.count<machine_ended>() == 1);
}

TEST_CASE("builtin: a stop while it starts ends the start") {
  bench b;
  offered_device device{*b.board};
  std::promise<void> go_on;
  device.hold = go_on.get_future().share();
  const auto it = b.make();
  must(it->prepare(b.config));
  auto start = std::async(std::launch::async, [&] { return it->start(in(guest_patience)); });
  while (it->prepare(b.config)) // Until it starts.
    continue;
  CHECK(it->stop(in(milliseconds{20})).error().code == errc::deadline_exceeded);
  auto stop = std::async(std::launch::async, [&] { return it->stop(in(guest_patience)); });
  go_on.set_value();
  const auto started = start.get();
  REQUIRE_FALSE(started);
  CHECK(started.error().code == errc::machine_gone);
  CHECK(must(stop.get()).reason == end_reason::stopped);
  CHECK(b.heard.count<machine_ended>() == 0);
  device.drop();
}

TEST_CASE("builtin: a stop that a hung device holds up says where, and can be tried again") {
  bench b;
  offered_device device{*b.board};
  device.patience = guest_patience;
  std::promise<void> let_go;
  device.loop->post("hang", [go = let_go.get_future().share()] { go.wait(); });
  const auto it = b.started("rng");
  std::string said;
  // Until the processor is at the device's register, and waits there.
  for (auto end = in(guest_patience);
       said.find("serving") == said.npos && monotonic_clock::now() < end;)
    said = it->pause(in(milliseconds{20})).error().text;
  CHECK_THAT(said, Contains("serving address 0xd0000070"));
  const auto stopped = it->stop(in(milliseconds{20}));
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code == errc::deadline_exceeded);
  let_go.set_value();
  CHECK(must(it->stop(in(guest_patience))).reason == end_reason::stopped);
  CHECK(b.heard.count<machine_ended>() == 1);
  device.drop();
}

TEST_CASE("builtin: dropped at the moment of its own end, again and again") {
  bench b;
  const auto before = measure();
  for (int i = 0; i < 20; ++i) {
    auto it = b.started("power_off");
    if (i % 2 == 0)
      (void)it->wait(in(guest_patience));
    it.reset();
  }
  CHECK(settled(before) == before);
  CHECK(b.heard.count<machine_ended>() == 20);
}

TEST_CASE("builtin: dropped while the guest's end is being told, waits for the teller") {
  bench b;
  const auto before = measure();
  std::promise<void> telling;
  std::promise<void> go_on;
  b.use("power_off");
  auto it = builtin::make(b.board, [&](const machine_event& what) {
    if (!std::holds_alternative<machine_ended>(what))
      return;
    telling.set_value();
    go_on.get_future().wait();
  });
  must(it->prepare(b.config));
  must(it->start(in(guest_patience)));
  telling.get_future().wait();
  auto dropped = std::async(std::launch::async, [it = std::move(it)]() mutable { it.reset(); });
  CHECK(dropped.wait_for(milliseconds{50}) == std::future_status::timeout);
  go_on.set_value();
  dropped.get();
  CHECK(settled(before) == before);
}

TEST_CASE("builtin: a device of the board is there for the guest") {
  bench b;
  offered_device device{*b.board};
  const auto it = b.started("kicks", "times=0");
  const auto end = in(guest_patience);
  while (monotonic_clock::now() < end && it->console_tail().empty())
    std::this_thread::yield();
  REQUIRE(it->console_tail().size() == 1);
  CHECK(it->console_tail().front() == "storm");
  CHECK(must(it->stop(in(guest_patience))).reason == end_reason::stopped);
  device.drop();
}
