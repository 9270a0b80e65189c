// A program that embeds Troupe: two machines in this process, a container in each, everything gone
// afterwards.
#include "actors/runtime.hpp"
#include "messages/vocabulary/log.hpp"
#include "tests/support/skip.hpp"
#include "tools/ctl/ask.hpp"
#include "tools/ctl/bundle.hpp"
#include "tools/ctl/private_folder.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>

using namespace troupe;
namespace fs = std::filesystem;

namespace {

constexpr milliseconds patience{120'000};

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator{"/proc/self/fd"}, {}));
}

config::config small_machine() {
  config::config out;
  out.runtime.hypervisor_name = "qemu";
  out.qemu.kernel = TROUPE_KERNEL;
  out.qemu.initrd = TROUPE_INITRD;
  out.qemu.default_memory_mib = 192;
  out.qemu.allow_emulation = true;
  return out;
}

constexpr const char* says_its_name = "echo $0; exit 7";
/// The first disk's sectors and serial, and who feeds the guest's generator.
constexpr const char* says_its_devices =
    "cd /sys; busybox cat block/vda/size block/vda/serial class/misc/hw_random/rng_current; exit 7";

/// Where a pod's bundle, root file system, disk and output are.
struct place {
  explicit place(const std::string& name, const char* script = says_its_name) : id(name) {
    const auto root = folder.path() + "/root";
    fs::create_directories(root + "/bin");
    fs::copy_file("/bin/busybox", root + "/bin/busybox");
    fs::create_symlink("busybox", root + "/bin/sh");
    ctl::process_order order;
    order.args = {"/bin/sh", "-c", script, "from " + name};
    REQUIRE(ctl::write_bundle(folder.path(), ctl::bundle_json(order, root, name)));
    std::ofstream{out()};
    std::ofstream{disk()};
    fs::resize_file(disk(), mib(1));
  }
  [[nodiscard]] std::string disk() const { return folder.path() + "/disk"; }
  [[nodiscard]] std::string out() const { return folder.path() + "/out"; }
  [[nodiscard]] std::string pod() const { return folder.path() + "/pod"; }
  [[nodiscard]] std::string said() const {
    std::ifstream file{out()};
    return {std::istreambuf_iterator<char>{file}, {}};
  }

  ctl::private_folder folder = std::move(*ctl::private_folder::make());
  std::string id;
};

struct host {
  host() {
    runtime_options options;
    options.cache_directory = cache.path();
    options.on_event = [this](const event::record&) {
      const std::lock_guard lock{guard};
      ++events;
    };
    options.on_sandbox_lost = [](const sandbox_id&, const failure& why) { FAIL(why.text); };
    made = std::move(*runtime::start(std::move(options)));
  }

  void add(const place& at, std::vector<machine_disk> disks = {}) const {
    sandbox_options order{*sandbox_id::parse(at.id), at.pod(), small_machine()};
    order.disks = std::move(disks);
    REQUIRE(made->add_sandbox(std::move(order)));
  }

  template <class Command>
  auto ask(const place& at, Command command) const {
    command.sandbox = *sandbox_id::parse(at.id);
    auto answer = ctl::ask(*made, std::move(command), patience);
    if (!answer)
      FAIL(at.id << ": " << answer.error().to_string());
    return *answer;
  }

  static process_key init_of(const place& at) { return {*container_id::parse(at.id), {}}; }

  void create(const place& at) const {
    create_task order;
    order.container = *container_id::parse(at.id);
    order.bundle = at.folder.path();
    order.io.out = "file://" + at.out();
    ask(at, order);
  }
  template <class Command>
  auto ask_init(const place& at) const {
    Command order;
    order.key = init_of(at);
    return ask(at, order);
  }

  ctl::private_folder cache = std::move(*ctl::private_folder::make());
  std::mutex guard;
  int events = 0;
  std::unique_ptr<runtime> made;
};

void needs() {
  testing::need(::geteuid() == 0, "root");
  testing::need(fs::exists("/usr/bin/qemu-system-x86_64"), "qemu-system-x86_64");
  testing::need(fs::exists(TROUPE_KERNEL),
                "a guest kernel: guest/kernel/build product build/guest");
}

} // namespace

TEST_CASE("embedding: two machines in one process, each with its container") {
  needs();
  log::set_level(log::level::warn);
  const auto before = open_descriptors();
  {
    const place one{"one"};
    const place two{"two"};
    host on;
    for (const auto* at : {&one, &two})
      on.add(*at);
    CHECK(on.made->add_sandbox({*sandbox_id::parse("one"), one.pod(), small_machine()})
              .error()
              .code == errc::already_exists);
    // Both boot at the same time; the second command finds its machine on its way.
    for (const auto* at : {&one, &two})
      on.made->boot(*sandbox_id::parse(at->id), patience, reply_box<void>{[](outcome<void>) {}});
    for (const auto* at : {&one, &two})
      on.create(*at);
    for (const auto* at : {&one, &two})
      on.ask_init<start_process>(*at);
    for (const auto* at : {&one, &two})
      CHECK(on.ask_init<wait_process>(*at).status == 7);
    for (const auto* at : {&one, &two})
      CHECK(on.ask_init<delete_process>(*at).exit.status == 7);
    CHECK(one.said() == "from one\n");
    CHECK(two.said() == "from two\n");
    for (const auto* at : {&one, &two}) {
      shutdown_sandbox order;
      order.now = true;
      CHECK(on.ask(*at, order));
      CHECK(on.made->remove_sandbox(*sandbox_id::parse(at->id)));
      CHECK_FALSE(fs::exists(at->pod()));
    }
    CHECK(on.events == 8); // create, start, exit and delete of each
    CHECK(on.made->stop(patience));
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("embedding: a machine has the disk it was given, and entropy of the host's") {
  needs();
  log::set_level(log::level::warn);
  const place at{"one", says_its_devices};
  host on;
  on.add(at, {{at.disk(), true, "troupe-disk"}});
  on.create(at);
  on.ask_init<start_process>(at);
  CHECK(on.ask_init<wait_process>(at).status == 7);
  CHECK(at.said() == "2048\ntroupe-disk" + std::string{"virtio_rng.0\n"});
  on.ask_init<delete_process>(at);
  // Its lock goes with the machine.
  shutdown_sandbox order;
  order.now = true;
  CHECK(on.ask(at, order));
  CHECK(on.made->remove_sandbox(*sandbox_id::parse(at.id)));
}
