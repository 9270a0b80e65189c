// A program that embeds Troupe and runs payloads without an agent: guests of tests/kvm on this
// host's KVM, by `actors/runtime.hpp` alone.
#include "actors/runtime.hpp"
#include "messages/vocabulary/log.hpp"
#include "tests/support/skip.hpp"
#include "tools/ctl/ask.hpp"
#include "tools/ctl/private_folder.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <mutex>
#include <thread>

using namespace troupe;
namespace fs = std::filesystem;
using hypervisor::end_reason;

namespace {

constexpr milliseconds patience{60'000};
constexpr byte_count disk_size = mib(1);

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator{"/proc/self/fd"}, {}));
}

config::config payload(const std::string& guest, const std::string& words = {}) {
  config::config out;
  out.runtime.hypervisor_name = "builtin";
  out.builtin.kernel = std::string{TROUPE_BARE_GUESTS "/"} + guest;
  out.builtin.initrd.clear();
  out.builtin.kernel_params = words;
  out.builtin.default_memory_mib = 64;
  out.builtin.allow_emulation = true; // where KVM emulates
  return out;
}

class host {
public:
  host() {
    runtime_options options;
    options.cache_directory = folder_.path();
    options.on_machine_end = [this](const sandbox_id& id, const hypervisor::exit_info& how) {
      const std::lock_guard lock{guard_};
      ends_.emplace(id.str(), how);
      ended_.notify_all();
    };
    options.on_sandbox_lost = [](const sandbox_id&, const failure& why) { FAIL(why.text); };
    made_ = std::move(*runtime::start(std::move(options)));
  }

  void add(const std::string& name, config::config values, std::vector<machine_disk> disks = {}) {
    sandbox_options order{id(name), pod(name), std::move(values)};
    order.bare = true;
    order.disks = std::move(disks);
    REQUIRE(made_->add_sandbox(std::move(order)));
  }
  outcome<void> boot(const std::string& name) { return verb(&runtime::boot, name); }
  outcome<void> pause(const std::string& name) { return verb(&runtime::pause, name); }
  outcome<void> resume(const std::string& name) { return verb(&runtime::resume, name); }

  hypervisor::exit_info end_of(const std::string& name) {
    std::unique_lock lock{guard_};
    REQUIRE(ended_.wait_for(lock, patience, [&] { return ends_.contains(name); }));
    CHECK(ends_.count(name) == 1);
    return ends_.find(name)->second;
  }
  void remove(const std::string& name) {
    shutdown_sandbox order;
    order.sandbox = id(name);
    order.now = true;
    CHECK(ctl::ask(*made_, order, patience));
    CHECK(made_->remove_sandbox(id(name)));
    CHECK_FALSE(fs::exists(pod(name)));
  }
  outcome<task_pid> create_in(const std::string& name) {
    create_task order;
    order.sandbox = id(name);
    order.container = *container_id::parse("c1");
    order.bundle = folder_.path();
    return ctl::ask(*made_, order, patience);
  }

  static sandbox_id id(const std::string& name) { return *sandbox_id::parse(name); }
  std::string pod(const std::string& name) const { return folder_.path() + "/" + name; }

private:
  using verb_type = void (runtime::*)(const sandbox_id&, milliseconds, reply_box<void>);
  outcome<void> verb(verb_type what, const std::string& name) {
    std::promise<outcome<void>> answered;
    (*made_.*what)(id(name), patience, reply_box<void>{[&](outcome<void> with) {
                     answered.set_value(std::move(with));
                   }});
    return answered.get_future().get();
  }

  ctl::private_folder folder_ = std::move(*ctl::private_folder::make());
  std::mutex guard_;
  std::condition_variable ended_;
  std::multimap<std::string, hypervisor::exit_info> ends_;
  std::unique_ptr<runtime> made_;
};

/// CPU time of the first thread of that name, in the kernel's ticks.
long cpu_ticks(const std::string& thread) {
  for (const auto& task : fs::directory_iterator{"/proc/self/task"}) {
    std::string name;
    std::getline(std::ifstream{task.path() / "comm"}, name);
    if (name != thread)
      continue;
    std::string stat;
    std::getline(std::ifstream{task.path() / "stat"}, stat);
    std::istringstream words{stat.substr(stat.rfind(')') + 2)};
    std::vector<std::string> fields{std::istream_iterator<std::string>{words}, {}};
    return std::stol(fields.at(11)) + std::stol(fields.at(12));
  }
  return -1;
}

bool runs(const std::string& thread) {
  const auto before = cpu_ticks(thread);
  std::this_thread::sleep_for(milliseconds{200});
  return cpu_ticks(thread) > before;
}

void needs() {
  testing::need(::geteuid() == 0, "root");
  testing::need(::access("/dev/kvm", R_OK | W_OK) == 0, "/dev/kvm");
  log::set_level(log::level::warn);
}

} // namespace

TEST_CASE("bare payload: works with its disk, ends with an exit code, and leaves nothing") {
  needs();
  const auto before = open_descriptors();
  {
    const ctl::private_folder images = std::move(*ctl::private_folder::make());
    const auto image = images.path() + "/disk";
    std::ofstream{image};
    fs::resize_file(image, disk_size);
    host on;
    on.add("p1", payload("blk", "windows=4 sectors=" + std::to_string(disk_size / 512)),
           {{image, false, "bare-disk"}});
    REQUIRE(on.boot("p1"));
    const auto how = on.end_of("p1");
    CHECK(how.reason == end_reason::guest_shutdown);
    CHECK(how.status == 0);
    CHECK(on.pause("p1").error().code == errc::failed_precondition);
    on.remove("p1");
    std::ifstream file{image, std::ios::binary};
    file.seekg(3 * 512 + 258);
    CHECK(file.get() == static_cast<unsigned char>(258 * 7 + 1));
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("bare payload: several at once, each with entropy, each with its own end") {
  needs();
  const auto before = open_descriptors();
  {
    host on;
    const std::vector<std::pair<std::string, end_reason>> guests{
        {"rng", end_reason::guest_shutdown}, {"power_off", end_reason::guest_shutdown},
        {"panic", end_reason::guest_panic},  {"triple", end_reason::guest_reset},
        {"rng", end_reason::guest_shutdown}, {"refused", end_reason::failed},
    };
    for (std::size_t i = 0; i < guests.size(); ++i)
      on.add("p" + std::to_string(i), payload(guests[i].first, "windows=3"));
    for (std::size_t i = 0; i < guests.size(); ++i)
      if (const auto up = on.boot("p" + std::to_string(i)); !up)
        CHECK(up.error().code == errc::machine_gone); // It was quicker than the answer.
    for (std::size_t i = 0; i < guests.size(); ++i) {
      CAPTURE(guests[i].first);
      const auto how = on.end_of("p" + std::to_string(i));
      CHECK(how.reason == guests[i].second);
      CHECK(how.status == 0);
    }
    for (std::size_t i = 0; i < guests.size(); ++i)
      on.remove("p" + std::to_string(i));
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("bare payload: stands while it is paused, runs on, and is ended by a shutdown") {
  needs();
  host on;
  on.add("p1", payload("spin"));
  CHECK(on.pause("p1").error().code == errc::failed_precondition);
  REQUIRE(on.boot("p1"));
  CHECK(runs("vcpu0"));
  REQUIRE(on.pause("p1"));
  REQUIRE(on.pause("p1"));
  CHECK_FALSE(runs("vcpu0"));
  REQUIRE(on.resume("p1"));
  CHECK(runs("vcpu0"));
  CHECK_THAT(on.create_in("p1").error().text, Catch::Matchers::Contains("payload is bare"));
  REQUIRE(on.pause("p1"));
  on.remove("p1"); // also while it stands
  CHECK(on.end_of("p1").reason == end_reason::stopped);
}

TEST_CASE("bare payload: what cannot be says why, and leaves nothing") {
  needs();
  host on;
  on.add("p1", payload("spin"), {{"/nowhere/disk", false, ""}});
  const auto failed = on.boot("p1");
  REQUIRE_FALSE(failed);
  CHECK_THAT(failed.error().text,
             Catch::Matchers::Contains("disk0: disk: /nowhere/disk does not exist"));
  CHECK(failed.error().code == errc::invalid_argument);
  on.remove("p1");
  on.add("p2", payload("no such guest"));
  CHECK_THAT(on.boot("p2").error().text, Catch::Matchers::Contains("kernel: "));
  on.remove("p2");
  auto elsewhere = payload("spin");
  elsewhere.runtime.hypervisor_name = "qemu";
  elsewhere.qemu.kernel = elsewhere.builtin.kernel;
  elsewhere.qemu.allow_emulation = true;
  on.add("p3", elsewhere);
  CHECK(on.boot("p3").error().code == errc::unimplemented);
  on.remove("p3");
}
