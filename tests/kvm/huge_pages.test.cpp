// Guests in huge pages of the host: it really has them, and too few are an error that leaves
// nothing. Needs root, and changes two settings of the host's kernel while it runs: 8 pages more in
// the pool, and huge pages for shared memory that asks for them.
#include "actors/devices/virtio/rng/device.hpp"
#include "actors/sandbox/hypervisor/builtin/builtin.hpp"
#include "tests/kvm/bare_machine.hpp"
#include "tests/kvm/footprint.hpp"
#include "tests/kvm/machine.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>

using namespace troupe;
using namespace troupe::testing;
using Catch::Matchers::Contains;
using memory::huge_page;
using vcpu::machine_end;

namespace {

const std::string pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
const std::string shared_memory = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
constexpr byte_count pages = 8;

[[noreturn]] void skip(const std::string& missing) {
  std::printf("SKIPPED: huge pages: %s\n", missing.c_str());
  std::fflush(stdout);
  std::_Exit(77);
}

std::string read_line(const std::string& path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  return line;
}

/// A setting of the host's kernel that is put back afterwards.
class setting {
public:
  explicit setting(std::string path) : path_(std::move(path)), line_(read_line(path_)) {
    if (::geteuid() != 0)
      skip("needs root");
    if (line_.empty())
      skip("needs " + path_);
  }
  ~setting() {
    if (!put(chosen()))
      std::printf("%s stays changed\n", path_.c_str());
  }
  setting(const setting&) = delete;
  setting& operator=(const setting&) = delete;

  void set(const std::string& value) {
    if (!put(value))
      skip(path_ + " does not take " + value);
  }
  /// What it was: the line, or of a list the word in brackets.
  [[nodiscard]] std::string chosen() const {
    const auto from = line_.find('[');
    return from == line_.npos ? line_ : line_.substr(from + 1, line_.find(']') - from - 1);
  }

private:
  bool put(const std::string& value) {
    std::ofstream file{path_};
    return static_cast<bool>(file << value << std::flush);
  }

  std::string path_;
  std::string line_;
};

byte_count free_pages() {
  return std::stoul(read_line(pool + "free_hugepages"));
}

/// `pages` of the pool that nobody has taken.
class filled_pool {
public:
  filled_pool() {
    const auto more = std::stoul(setting_.chosen()) + pages;
    setting_.set(std::to_string(more));
    if (free_pages() < pages || std::stoul(read_line(pool + "nr_hugepages")) < more)
      skip("the host finds no 16 MiB in pieces of 2 MiB");
  }

private:
  setting setting_{pool + "nr_hugepages"};
};

/// Sum of a field of all mappings of guest memory, in bytes.
byte_count mapped(const std::string& field) {
  std::ifstream smaps{"/proc/self/smaps"};
  bool ours = false;
  byte_count sum = 0;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words{line};
    std::string name;
    byte_count value = 0;
    if (words >> name; name.back() != ':')
      ours = line.find("guest-ram") != line.npos;
    else if (ours && name == field + ":" && words >> value)
      sum += kib(value);
  }
  return sum;
}

vcpu::machine_order order_for(memory::page_kind kind) {
  auto out = small_order();
  out.memory = pages * huge_page;
  out.pages = kind;
  out.vcpus = out.max_vcpus = 2;
  return out;
}

void check_good(bare_machine& m, const std::string& guest, const std::string& words) {
  const auto how = m.run(guest, words);
  INFO(story(m, how));
  CHECK(how.why == machine_end::exit_code);
  CHECK(how.code == 0);
}

} // namespace

TEST_CASE("huge pages: a machine takes its memory from the pool, runs in it and gives it back") {
  const filled_pool filled;
  const auto before = free_pages();
  {
    bare_machine m{order_for(memory::page_kind::hugetlb)};
    CHECK(free_pages() == before - pages);
    CHECK(mapped("Private_Hugetlb") + mapped("Shared_Hugetlb") == pages * huge_page);
    CHECK(mapped("KernelPageSize") == huge_page);
    (void)m.plug(std::make_unique<rng::device>());
    check_good(m, "rng", "");
  }
  CHECK(free_pages() == before);
  bare_machine again{order_for(memory::page_kind::hugetlb)};
  check_good(again, "smp", "cpus=2");
}

TEST_CASE("huge pages: memory on both sides of the hole is one file, each page taken once") {
  const filled_pool filled;
  const auto before = free_pages();
  memory::ram_plan plan;
  plan.size = pages * huge_page;
  plan.pages = memory::page_kind::hugetlb;
  plan.layout = {mib(6), mib(64)};
  plan.prealloc_threads = 2;
  const auto made = must(memory::allocate(plan));
  CHECK(free_pages() == before - pages);
  CHECK(mapped("Private_Hugetlb") + mapped("Shared_Hugetlb") == pages * huge_page);
  const std::array<std::byte, 1> low{std::byte{1}};
  const std::array<std::byte, 1> high{std::byte{2}};
  must(made.memory->write(mib(6) - 1, low));
  must(made.memory->write(mib(64), high));
  std::array<std::byte, 1> back{};
  must(made.memory->read(mib(6) - 1, back));
  CHECK(back == low);
  must(made.memory->read(mib(64), back));
  CHECK(back == high);
  CHECK_FALSE(made.memory->read(mib(6), back));
}

TEST_CASE("huge pages: a machine that wants more than the pool has, does not come to be") {
  const filled_pool filled;
  const auto free_before = free_pages();
  const auto before = measure();
  auto order = order_for(memory::page_kind::hugetlb);
  order.memory = (free_before + 1) * huge_page;
  const auto made = vcpu::machine::create(order, {});
  REQUIRE_FALSE(made);
  CHECK(made.error().code == errc::resource_exhausted);
  CHECK_THAT(made.error().text, Contains("preallocate") && Contains("vm.nr_hugepages"));
  CHECK(settled(before) == before);
  CHECK(free_pages() == free_before);
}

TEST_CASE("huge pages: the driver's start names the key when the pool is too small") {
  const filled_pool filled;
  const auto free_before = free_pages();
  const test::scratch_folder folder;
  hypervisor::machine_config config;
  config.id = "p1";
  config.token = "t";
  config.run_directory = folder.path();
  config.kernel = guest_file("spin");
  config.initrd = config.kernel;
  config.memory = std::max(hypervisor::min_memory, (free_before + 1) * huge_page);
  config.hugepages = true;
  const auto it = hypervisor::builtin::make(std::make_shared<mmio::board>(), {});
  must(it->prepare(config));
  const auto started = it->start(monotonic_clock::now() + guest_patience);
  REQUIRE_FALSE(started);
  CHECK(started.error().code == errc::resource_exhausted);
  CHECK_THAT(started.error().text, Contains("default_memory: "));
  CHECK(free_pages() == free_before);
}

TEST_CASE("huge pages: shared memory in transparent ones, all of it from the start") {
  setting allowed{shared_memory};
  allowed.set("advise");
  auto order = order_for(memory::page_kind::transparent_huge);
  order.prealloc = true;
  bare_machine m{order};
  CHECK(mapped("ShmemPmdMapped") == pages * huge_page);
  (void)m.plug(std::make_unique<rng::device>());
  check_good(m, "rng", "");
  CHECK(mapped("ShmemPmdMapped") == pages * huge_page);
}

TEST_CASE("huge pages: where shared memory gets none, a machine that would like some runs") {
  setting allowed{shared_memory};
  allowed.set("never");
  bare_machine m{order_for(memory::page_kind::transparent_huge)};
  check_good(m, "smp", "cpus=2");
  CHECK(mapped("ShmemPmdMapped") == 0);
}
