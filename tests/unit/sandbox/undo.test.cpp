#include "actors/sandbox/journal/beneath.hpp"
#include "actors/sandbox/journal/process_info.hpp"
#include "actors/sandbox/journal/sweep.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "tests/support/in_child.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <fstream>
#include <functional>
#include <future>
#include <iostream>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace troupe;
using namespace troupe::journal;
using namespace std::chrono_literals;
using troupe::test::scratch_folder;

namespace {

const std::string token = "troupe-test-token-" + std::to_string(::getpid());

time_point soon() {
  return monotonic_clock::now() + 5s;
}

bool root_user() {
  if (::geteuid() == 0)
    return true;
  std::cout << "skipped: needs root\n";
  return false;
}

/// A sleeper whose argv holds the word; a child of ours that nobody reaps meanwhile.
process_effect sleeper(const std::string& word) {
  process_effect made{0, 0, word};
  std::string name = "sh";
  std::string flag = "-c";
  std::string script = "sleep 100 & wait; : " + word;
  std::array<char*, 4> argv{name.data(), flag.data(), script.data(), nullptr};
  REQUIRE(::posix_spawn(&made.pid, "/bin/sh", nullptr, nullptr, argv.data(), environ) == 0);
  const auto info = inspect(made.pid);
  REQUIRE(info);
  made.start_time = info->start_time;
  return made;
}

/// Ends it and its `sleep`, whatever the test did: an orphan would hold our standard output for as
/// long as it sleeps.
class sleeper_guard {
public:
  /// Returns once both processes have become what they shall be: before its exec a child has the
  /// argv of its parent, and with it the word.
  explicit sleeper_guard(std::string word) : made(sleeper(word)) {
    for (int tries = 0; tries < 5000 && !find_sleep(); ++tries)
      ::usleep(1000);
    REQUIRE(sleep_);
  }
  ~sleeper_guard() {
    if (sleep_)
      ::syscall(SYS_pidfd_send_signal, sleep_.get(), SIGKILL, nullptr, 0);
    ::kill(made.pid, SIGKILL);
    ::waitpid(made.pid, nullptr, 0);
  }
  sleeper_guard(const sleeper_guard&) = delete;
  sleeper_guard& operator=(const sleeper_guard&) = delete;
  process_effect made;

private:
  bool find_sleep() {
    pid_t child = 0;
    std::string name;
    std::ifstream{fmt::format("/proc/{0}/task/{0}/children", made.pid)} >> child;
    std::getline(std::ifstream{fmt::format("/proc/{}/comm", child)}, name);
    if (child != 0 && name == "sleep")
      sleep_.reset(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    return static_cast<bool>(sleep_);
  }

  unique_fd sleep_;
};

struct host_fixture {
  host_fixture() {
    std::filesystem::create_directories(folder.file("pod"));
    std::filesystem::create_directories(folder.file("outside"));
    roots[root::state] = folder.file("pod");
  }
  [[nodiscard]] std::string state(std::string_view name) const {
    return folder.file("pod/") + std::string{name};
  }
  outcome<void> undo(const effect& what) { return host->undo(what, roots, soon()); }

  scratch_folder folder;
  root_table roots;
  std::unique_ptr<host_effects> host = make_host_effects();
};

} // namespace

TEST_CASE("proc: the fields of a stat line are found behind any command name") {
  const auto info = parse_stat("7 (a) b (c) Z 1 7 7 0 -1 4 0 0 0 0 1 2 0 0 20 0 1 0 4242 0 0");
  REQUIRE(info);
  CHECK(info->state == 'Z');
  CHECK(info->dead());
  CHECK(info->start_time == 4242);
  CHECK_FALSE(parse_stat("7 (a) S 1 2"));
  CHECK_FALSE(parse_stat(""));
}

TEST_CASE_METHOD(host_fixture, "undo: files, fifos and empty folders go; twice is a success") {
  std::ofstream{state("file")} << "x";
  ::mkfifo(state("fifo").c_str(), 0600);
  std::filesystem::create_directory(state("folder"));
  for (const effect& what :
       {effect{file_effect{{root::state, "file"}}}, effect{file_effect{{root::state, "fifo"}}},
        effect{directory_effect{{root::state, "folder"}}}}) {
    CHECK(undo(what));
    CHECK(undo(what));
  }
  CHECK(std::filesystem::is_empty(folder.file("pod")));
}

TEST_CASE_METHOD(host_fixture, "undo: a folder that is not empty stays and is told") {
  std::filesystem::create_directory(state("folder"));
  std::ofstream{state("folder/precious")} << "x";
  const auto done = undo(directory_effect{{root::state, "folder"}});
  REQUIRE_FALSE(done);
  CHECK(done.error().os_error == ENOTEMPTY);
  CHECK(std::filesystem::exists(state("folder/precious")));
}

TEST_CASE_METHOD(host_fixture, "undo: a symlink on the way is not followed") {
  std::ofstream{folder.file("outside/precious")} << "x";
  std::filesystem::create_symlink(folder.file("outside"), state("link"));
  const auto done = undo(file_effect{{root::state, "link/precious"}});
  REQUIRE_FALSE(done);
  CHECK(done.error().code == errc::permission_denied);
  CHECK(std::filesystem::exists(folder.file("outside/precious")));
  CHECK(undo(file_effect{{root::state, "link"}}));
  CHECK(std::filesystem::exists(folder.file("outside/precious")));
}

TEST_CASE_METHOD(host_fixture, "undo: a path outside its root and an unknown root are refused") {
  CHECK(undo(file_effect{{root::state, "../outside"}}).error().code == errc::invalid_argument);
  CHECK(undo(file_effect{{root::bundle, "x"}}).error().code == errc::failed_precondition);
  roots[root::state] = folder.file("gone/for/ever");
  CHECK(undo(file_effect{{root::state, "x"}}));
}

TEST_CASE_METHOD(host_fixture, "undo: a process with our token and start time is killed") {
  const sleeper_guard guard{token};
  CHECK(undo(guard.made));
  const auto after = inspect(guard.made.pid);
  REQUIRE(after); // a zombie: we are its parent and have not reaped it
  CHECK(after->dead());
  CHECK(undo(guard.made));
}

TEST_CASE_METHOD(host_fixture, "undo: a recycled pid and a stranger's argv are left alone") {
  const sleeper_guard guard{token};
  auto recycled = guard.made;
  recycled.start_time += 1;
  CHECK(undo(recycled));
  auto stranger = guard.made;
  stranger.token = "troupe-another-token";
  const auto done = undo(stranger);
  REQUIRE_FALSE(done);
  CHECK(done.error().code == errc::failed_precondition);
  CHECK_FALSE(inspect(guard.made.pid)->dead());
}

TEST_CASE_METHOD(host_fixture,
                 "undo: a process whose pid was never written is found by its token") {
  const sleeper_guard guard{token};
  CHECK(undo(process_effect{0, 0, token}));
  CHECK(inspect(guard.made.pid)->dead());
}

TEST_CASE_METHOD(host_fixture, "undo: our mount goes, another's and a symlink's target stay") {
  if (!root_user())
    return;
  CHECK(testing::among_own_mounts([&] {
          std::filesystem::create_directory(state("target"));
          std::filesystem::create_directory_symlink(folder.file("outside"), state("link"));
          if (::mount("none", folder.file("outside").c_str(), "tmpfs", 0, nullptr) != 0 ||
              ::mount("none", state("target").c_str(), "tmpfs", 0, nullptr) != 0)
            return 2;
          struct statx st {};
          ::statx(AT_FDCWD, state("target").c_str(), 0, STATX_MNT_ID, &st);
          const mount_effect ours{{root::state, "target"}, st.stx_mnt_id};
          auto other = ours;
          ++other.mount_id;
          if (undo(other).error().code != errc::failed_precondition)
            return 3;
          if (!undo(ours) || !undo(ours) || !undo(mount_effect{{root::state, "link"}, 0}))
            return 4;
          const auto mounted = [](const std::string& path) {
            struct statx found {};
            ::statx(AT_FDCWD, path.c_str(), 0, STATX_MNT_ID, &found);
            return (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
          };
          return mounted(state("target")) ? 5 : mounted(folder.file("outside")) ? 0 : 6;
        }) == 0);
}

TEST_CASE_METHOD(host_fixture, "undo: a named network namespace and its device go") {
  if (!root_user())
    return;
  CHECK(testing::among_own_mounts([&] {
          std::ofstream{state("pod-ns")};
          const auto maker = ::fork();
          if (maker == 0) {
            if (::unshare(CLONE_NEWNET) != 0 ||
                ::mount("/proc/self/ns/net", state("pod-ns").c_str(), nullptr, MS_BIND, nullptr) !=
                    0)
              ::_exit(1);
            ::_exit(std::system("ip tuntap add dev tap7 mode tap") == 0 ? 0 : 2);
          }
          int status = 0;
          ::waitpid(maker, &status, 0);
          if (status != 0)
            return 2;
          const tap_effect tap{"tap7", state("pod-ns")};
          if (!undo(tap) || !undo(tap))
            return 3;
          const auto look =
              fmt::format("nsenter --net={} ip link show tap7 >/dev/null 2>&1", state("pod-ns"));
          if (std::system(look.c_str()) == 0)
            return 4;
          const netns_effect space{{root::state, "pod-ns"}};
          if (!undo(space) || !undo(space) || !undo(tap))
            return 5;
          return std::filesystem::exists(state("pod-ns")) ? 6 : 0;
        }) == 0);
}

TEST_CASE_METHOD(host_fixture, "undo: what lies on another mount is never removed") {
  if (!root_user())
    return;
  CHECK(testing::among_own_mounts([&] {
          std::ofstream{folder.file("outside/precious")} << "x";
          std::filesystem::create_directories(state("a/b"));
          if (::mount(folder.file("outside").c_str(), state("a/b").c_str(), nullptr, MS_BIND,
                      nullptr) != 0)
            return 2;
          const auto done = undo(file_effect{{root::state, "a/b/precious"}});
          if (done || done.error().code != errc::permission_denied)
            return 3;
          const unique_fd top{::open(folder.file("pod").c_str(), O_RDONLY | O_DIRECTORY)};
          if (remove_contents(top.get(), {}))
            return 4;
          return std::filesystem::exists(folder.file("outside/precious")) ? 0 : 5;
        }) == 0);
}

// -- replay
// ----------------------------------------------------------------------------------------

namespace {

/// Fails the undo of chosen effects; remembers the order of the tries.
class faulty_host final : public host_effects {
public:
  outcome<void> undo(const effect& what, const root_table& roots, time_point deadline) override {
    (void)roots;
    deadlines.push_back(deadline);
    tried.push_back(describe(what));
    if (failing == tried.size() - 1)
      return fail(errc::host_io, "injected");
    return {};
  }
  time_point now() const override { return time_point{} + 100s; }

  std::size_t failing = static_cast<std::size_t>(-1);
  std::vector<std::string> tried;
  std::vector<time_point> deadlines;
};

constexpr std::size_t effect_count = 5;

std::unique_ptr<file> journal_with_effects(const std::string& path) {
  auto journal = file::create(path, {1, 2}, {{root::state, "/run/troupe/x"}});
  REQUIRE(journal);
  for (std::size_t i = 0; i < effect_count; ++i)
    REQUIRE((*journal)->record(file_effect{{root::state, fmt::format("f{}", i)}}));
  return *std::move(journal);
}

} // namespace

TEST_CASE("undo: everything goes in reverse, whichever one fails, and the failed one stays live") {
  for (std::size_t failing = 0; failing <= effect_count; ++failing) {
    CAPTURE(failing);
    const scratch_folder folder;
    const auto journal = journal_with_effects(folder.file("journal"));
    faulty_host host;
    host.failing = failing;
    const auto report = undo_all(*journal, host, time_point{} + 103s);
    CHECK(host.tried == std::vector<std::string>{"file state:f4", "file state:f3", "file state:f2",
                                                 "file state:f1", "file state:f0"});
    CHECK(host.deadlines == std::vector(effect_count, time_point{} + 103s));
    const bool one = failing < effect_count;
    CHECK(report.undone == effect_count - (one ? 1 : 0));
    CHECK(report.clean() == !one);
    CHECK(journal->live().size() == (one ? 1 : 0));
    if (one)
      CHECK(report.to_string() == fmt::format("undid 4, 1 left; file state:f{}: host_io: injected",
                                              effect_count - 1 - failing));
  }
}

TEST_CASE("undo: no single undo may spend the time of the others") {
  const scratch_folder folder;
  const auto journal = journal_with_effects(folder.file("journal"));
  faulty_host host;
  CHECK(undo_all(*journal, host, time_point::max()).clean());
  CHECK(host.deadlines == std::vector(effect_count, time_point{} + 100s + undo_limit));
}

TEST_CASE("sweep: a dead owner's lock that is held for an instant longer is waited for") {
  const scratch_folder folder;
  const auto pod = folder.file("pod-1");
  std::filesystem::create_directories(pod);
  std::array<int, 2> held{};
  REQUIRE(::pipe(held.data()) == 0);
  REQUIRE(
      testing::in_child([&] {
        const auto journal = file::create(pod + "/journal", *this_process(), {{root::state, pod}});
        if (!journal || !(*journal)->record(file_effect{{root::state, "sock"}}))
          return 1;
        if (::fork() != 0)
          return ::raise(SIGKILL);
        // As the last threads of a killed process: the lock lives as long as the descriptor.
        ::close(held[1]);
        pollfd until{held[0], POLLIN, 0};
        (void)::poll(&until, 1, 10'000);
        ::_exit(0);
      }) == 128 + SIGKILL);
  const auto host = make_host_effects();
  const auto early = sweep_one(pod, *host, monotonic_clock::now() + milliseconds{5});
  REQUIRE_FALSE(early);
  CHECK(early.error().code == errc::failed_precondition);
  auto late = std::async(std::launch::async, [&] { return sweep_one(pod, *host, soon()); });
  ::close(held[1]); // the holder ends
  const auto done = late.get();
  ::close(held[0]);
  REQUIRE(done);
  CHECK(done->undo.clean());
  CHECK_FALSE(std::filesystem::exists(pod));
}

TEST_CASE("sweep: the journal of a writer killed by SIGKILL is replayed, a living one is kept") {
  const scratch_folder folder;
  const auto pod = folder.file("pod-1");
  const auto living = folder.file("pod-2");
  std::filesystem::create_directories(pod);
  std::filesystem::create_directories(living);
  std::filesystem::create_directories(folder.file("starting"));
  const auto mine = file::create(living + "/journal", *this_process(), {{root::state, living}});
  REQUIRE(mine);
  CHECK(
      testing::in_child([&] {
        const auto journal = file::create(pod + "/journal", *this_process(), {{root::state, pod}});
        if (!journal || !(*journal)->record(file_effect{{root::state, "sock"}}) ||
            !(*journal)->record(process_effect{0, 0, token}))
          return 1;
        std::ofstream{pod + "/sock"} << "x";
        std::filesystem::create_directories(pod + "/deep/er");
        std::ofstream{pod + "/deep/er/unknown"} << "x";
        std::string name = "sh";
        std::string flag = "-c";
        std::string script = "read line; : " + token;
        std::array<char*, 4> argv{name.data(), flag.data(), script.data(), nullptr};
        pid_t pid = 0;
        std::array<int, 2> pipe{};
        if (::pipe(pipe.data()) != 0 || ::dup2(pipe[0], 0) != 0 ||
            ::posix_spawn(&pid, "/bin/sh", nullptr, nullptr, argv.data(), environ) != 0)
          return 2;
        return ::raise(SIGKILL);
      }) == 128 + SIGKILL);
  REQUIRE(find_by_token(token).size() == 1);

  const auto host = make_host_effects();
  const auto done = sweep(folder.path(), *host, soon());
  REQUIRE(done);
  REQUIRE(done->size() == 1);
  CHECK(done->front().directory == pod);
  CHECK(done->front().undo.undone == 2);
  CHECK_FALSE(done->front().problem);
  CHECK_FALSE(std::filesystem::exists(pod));
  CHECK(std::filesystem::exists(living + "/journal"));
  CHECK(std::filesystem::exists(folder.file("starting")));
  CHECK(find_by_token(token).empty());
  CHECK(sweep_one(living, *host, soon()).error().code == errc::failed_precondition);
  CHECK(sweep_one(pod, *host, soon()));
  CHECK(sweep_one(folder.file("starting"), *host, soon()));
  CHECK_FALSE(std::filesystem::exists(folder.file("starting")));
}

TEST_CASE("sweep: a folder whose undo failed is kept for the next try") {
  const scratch_folder folder;
  const auto pod = folder.file("pod-1");
  std::filesystem::create_directories(pod);
  {
    const auto journal = file::create(pod + "/journal", {1, 0}, {{root::state, pod}});
    REQUIRE(journal);
    REQUIRE((*journal)->record(file_effect{{root::state, "f"}}));
  }
  faulty_host host;
  host.failing = 0;
  const auto first = sweep_one(pod, host, soon());
  REQUIRE(first);
  CHECK(first->undo.remaining.size() == 1);
  CHECK(first->problem);
  CHECK(std::filesystem::exists(pod + "/journal"));
  const auto second = sweep_one(pod, host, soon());
  REQUIRE(second);
  CHECK(second->undo.clean());
  CHECK_FALSE(std::filesystem::exists(pod));
}

TEST_CASE("sweep: no state folder is an empty list") {
  const auto host = make_host_effects();
  const auto done = sweep("/tmp/troupe-test-never-made", *host, soon());
  REQUIRE(done);
  CHECK(done->empty());
}
