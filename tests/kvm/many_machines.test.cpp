// Many machines in one process, made and ended by several threads at a time: all comes back.
#include "actors/devices/virtio/rng/device.hpp"
#include "tests/kvm/bare_machine.hpp"
#include "tests/kvm/footprint.hpp"
#include "tests/kvm/machine.hpp"

#include <catch2/catch.hpp>

#include <sys/resource.h>

#include <atomic>
#include <thread>

using namespace troupe;
using namespace troupe::testing;

namespace {

constexpr std::size_t makers = 4;
constexpr std::size_t machines_each = 13;
/// The C library keeps stacks and arenas of the threads that were.
constexpr byte_count resident_slack = mib(24);

vcpu::machine_order tiny_order() {
  auto out = small_order();
  out.memory = mib(4);
  out.windows = 1;
  return out;
}

template <class Work>
void in_parallel(const Work& work) {
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < makers; ++i)
    threads.emplace_back([&, i] { work(i); });
}

/// Whether a machine with a device came up; throws otherwise than by failing only in a bug.
bool comes_up() {
  try {
    bare_machine it{tiny_order()};
    (void)it.plug(std::make_unique<rng::device>());
    const auto how = it.run("rng");
    CHECK(how.why == vcpu::machine_end::exit_code);
    CHECK(how.code == 0);
    return true;
  } catch (const std::runtime_error& error) {
    CHECK_THAT(error.what(), Catch::Matchers::Contains("Too many open files"));
    return false;
  }
}

/// Takes away descriptors from `count` on, while it lives.
class few_descriptors {
public:
  explicit few_descriptors(rlim_t count) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit now{count, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &now) == 0);
  }
  ~few_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  few_descriptors(const few_descriptors&) = delete;
  few_descriptors& operator=(const few_descriptors&) = delete;

private:
  rlimit before_{};
};

} // namespace

TEST_CASE("many machines: out of descriptors at every step, nothing stays of what was begun") {
  (void)host(); // Keeps a descriptor for good.
  const auto before = measure();
  std::size_t failures = 0;
  for (rlim_t allowed = 3;; ++allowed) { // Descriptors below it, whoever has them.
    bool up = false;
    {
      const few_descriptors limit{allowed};
      up = comes_up();
    }
    CHECK(settled(before) == before);
    if (up)
      break;
    REQUIRE(++failures < 100);
  }
  CHECK(failures > 8);
}

TEST_CASE("many machines: fifty idle ones beside each other, made and ended concurrently") {
  { // What the first machine of a process makes for good.
    bare_machine first{tiny_order()};
    first.boot("halt");
  }
  const auto before = measure();
  const auto memory = resident();
  std::vector<std::vector<std::unique_ptr<bare_machine>>> all(makers);
  std::atomic<int> failed = 0;
  in_parallel([&](std::size_t maker) {
    for (std::size_t i = 0; i < machines_each; ++i)
      try {
        auto it = std::make_unique<bare_machine>(tiny_order());
        it->boot("halt");
        all[maker].push_back(std::move(it));
      } catch (const std::exception&) {
        ++failed;
      }
  });
  REQUIRE(failed == 0);
  // A processor and a worker each, and with newer kernels one thread of KVM's own.
  const auto per_machine = (measure().threads - before.threads) / (makers * machines_each);
  CHECK((per_machine == 2 || per_machine == 3));
  for (const auto& some : all)
    for (const auto& it : some)
      CHECK_FALSE(it->it().how());
  std::atomic<std::int64_t> slowest = 0;
  in_parallel([&](std::size_t maker) {
    for (const auto& it : all[maker]) {
      const auto took = it->tear_down().count();
      auto seen = slowest.load();
      while (took > seen && !slowest.compare_exchange_weak(seen, took))
        continue;
    }
  });
  CHECK(slowest < teardown_bound.count());
  all.clear();
  CHECK(settled(before) == before);
  CHECK(resident() < memory + resident_slack);
}

TEST_CASE("many machines: guests that end by themselves, with a device, in rounds") {
  const auto before = measure();
  std::atomic<int> good = 0;
  in_parallel([&](std::size_t) {
    for (int round = 0; round < 10; ++round)
      try {
        bare_machine it{tiny_order()};
        (void)it.plug(std::make_unique<rng::device>());
        const auto how = it.run("rng");
        good += how.why == vcpu::machine_end::exit_code && how.code == 0 ? 1 : 0;
      } catch (const std::exception&) {
        continue; // Counted by its absence.
      }
  });
  CHECK(good == 10 * static_cast<int>(makers));
  CHECK(settled(before) == before);
}
