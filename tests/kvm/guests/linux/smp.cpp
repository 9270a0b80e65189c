// Runs as init of a guest with several processors: on each of them a thread that computes, and one
// that hands a baton on to the next processor. A line on hvc0 ends both; what is said then can only
// be right if no step and no wake-up was lost.
#include <fcntl.h>
#include <sched.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

namespace {

constexpr std::uint64_t factor = 6364136223846793005U; // Knuth's MMIX generator
constexpr std::uint64_t summand = 1442695040888963407U;
constexpr std::uint64_t burst = 1U << 20; // steps, about a millisecond
constexpr unsigned turns_between_naps = 8;
constexpr useconds_t nap = 1000;
constexpr std::uint64_t last_round = 1ULL << 63; // in the baton, above its count of turns
constexpr int hvc_major = 229;

std::atomic<bool> stop = false;
std::atomic<std::uint64_t> last_baton = 0;

[[noreturn]] void leave(const char* what) {
  std::printf("wrong: %s\n", what);
  std::fflush(stdout);
  ::reboot(RB_AUTOBOOT);
  std::abort();
}

void check(bool good, const char* what) {
  if (!good)
    leave(what);
}

std::vector<int> processors() {
  cpu_set_t all;
  check(::sched_getaffinity(0, sizeof all, &all) == 0, "affinity");
  std::vector<int> out;
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &all))
      out.push_back(i);
  return out;
}

void go_to(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  check(::sched_setaffinity(0, sizeof one, &one) == 0, "go to a processor");
  check(::sched_getcpu() == cpu, "not where it went");
}

/// Where `steps` steps lead, without taking them: an affine map squared and multiplied.
std::uint64_t after(std::uint64_t start, std::uint64_t steps) {
  std::uint64_t a = factor;
  std::uint64_t c = summand;
  for (; steps != 0; steps >>= 1) {
    if ((steps & 1) != 0)
      start = start * a + c;
    c = c * a + c;
    a *= a;
  }
  return start;
}

/// One processor's part.
struct place {
  int cpu = 0;
  std::array<int, 2> baton{}; ///< the pipe that it comes by
  std::atomic<std::uint64_t> steps = 0;
  std::atomic<std::uint64_t> turns = 0;
};

void compute(place& here) {
  go_to(here.cpu);
  const auto start = static_cast<std::uint64_t>(here.cpu);
  auto value = start;
  std::uint64_t steps = 0;
  while (!stop) {
    for (std::uint64_t i = 0; i < burst; ++i)
      value = value * factor + summand;
    steps += burst;
    check(::sched_getcpu() == here.cpu, "moved");
  }
  check(value == after(start, steps), "the computed value");
  here.steps = steps;
}

/// The baton counts its turns. Who holds it at the stop sends it round once more, uncounted.
void hand_on(place& here, const place& next) {
  go_to(here.cpu);
  for (std::uint64_t baton = 0; (baton & last_round) == 0;) {
    check(::read(here.baton[0], &baton, sizeof baton) == sizeof baton, "take the baton");
    if (stop)
      baton |= last_round;
    if ((baton & last_round) == 0) {
      ++baton;
      if (++here.turns % turns_between_naps == 0)
        ::usleep(nap);
    }
    check(::write(next.baton[1], &baton, sizeof baton) == sizeof baton, "hand the baton on");
    last_baton = baton & ~last_round;
  }
}

void wait_for_stop() {
  ::mknod("/dev/hvc0", S_IFCHR | 0600, ::makedev(hvc_major, 0));
  const int typed = ::open("/dev/hvc0", O_RDONLY);
  check(typed >= 0, "open /dev/hvc0");
  char c = 0;
  while (c != '\n')
    check(::read(typed, &c, 1) == 1, "read /dev/hvc0");
}

void say(const std::vector<std::unique_ptr<place>>& places) {
  std::uint64_t turns = 0;
  for (const auto& it : places) {
    std::printf("processor %d: %lu steps, %lu turns\n", it->cpu, it->steps.load(),
                it->turns.load());
    check(it->steps > 0 && it->turns > 0, "a processor that did nothing");
    turns += it->turns;
  }
  check(turns == last_baton, "the baton's count");
  std::printf("right\n");
  std::fflush(stdout);
}

} // namespace

int main() {
  std::vector<std::unique_ptr<place>> places;
  for (const int cpu : processors()) {
    places.push_back(std::make_unique<place>());
    places.back()->cpu = cpu;
    check(::pipe(places.back()->baton.data()) == 0, "pipe");
  }
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < places.size(); ++i) {
    threads.emplace_back([&, i] { hand_on(*places[i], *places[(i + 1) % places.size()]); });
    threads.emplace_back([&, i] { compute(*places[i]); });
  }
  const std::uint64_t baton = 0;
  check(::write(places.front()->baton[1], &baton, sizeof baton) == sizeof baton, "begin");
  std::printf("processors: %zu\n", places.size());
  std::fflush(stdout);
  wait_for_stop();
  stop = true;
  for (auto& it : threads)
    it.join();
  say(places);
  ::reboot(RB_AUTOBOOT);
}
