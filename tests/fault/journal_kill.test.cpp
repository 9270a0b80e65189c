#include "actors/sandbox/boot/steps.hpp"
#include "actors/sandbox/journal/process_info.hpp"
#include "actors/sandbox/journal/sweep.hpp"
#include "tests/support/in_child.hpp"
#include "tests/support/scratch.hpp"
#include "tests/support/skip.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <csignal>
#include <functional>
#include <iostream>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace troupe;
using namespace troupe::journal;
using namespace std::chrono_literals;
using boot::step_context;
using troupe::test::scratch_folder;

namespace {

const std::string token = "troupe-fault-token-" + std::to_string(::getpid());

/// Between any two of: record, effect, amend, of four effects.
constexpr int kill_points = 10;

/// A daemon that boots a pod and dies by SIGKILL at the k-th point it passes.
class doomed_daemon {
public:
  doomed_daemon(std::string pod, std::string bundle, int at)
      : pod_(std::move(pod)), bundle_(std::move(bundle)), left_(at) {}

  /// Does not come back, but with an exit status when something else went wrong.
  int run() {
    const auto me = this_process();
    auto journal =
        file::create(pod_ + "/journal", *me, {{root::state, pod_}, {root::bundle, bundle_}});
    if (!journal)
      return 1;
    const auto host = make_host_effects();
    boot::sequence up{steps(), **journal, *host};
    if (!up.up())
      return 2;
    return ::raise(SIGKILL);
  }

private:
  using act = outcome<void> (doomed_daemon::*)(step_context&);

  std::vector<boot::step> steps() {
    std::vector<boot::step> all;
    for (const act what : {&doomed_daemon::make_folder, &doomed_daemon::make_fifo,
                           &doomed_daemon::make_mount, &doomed_daemon::make_process}) {
      boot::step next;
      next.name = fmt::format("s{}", all.size());
      next.act = [this, what](step_context& context) { return (this->*what)(context); };
      all.push_back(std::move(next));
    }
    return all;
  }

  void pass() {
    if (left_-- == 0)
      ::raise(SIGKILL);
  }

  outcome<void> make_folder(step_context& context) {
    TRY(context.record(directory_effect{{root::bundle, "rootfs"}}));
    pass();
    std::filesystem::create_directory(bundle_ + "/rootfs");
    pass();
    return {};
  }

  outcome<void> make_fifo(step_context& context) {
    TRY(context.record(file_effect{{root::bundle, "fifo"}}));
    pass();
    ::mkfifo((bundle_ + "/fifo").c_str(), 0600);
    pass();
    return {};
  }

  outcome<void> make_mount(step_context& context) {
    mount_effect made{{root::bundle, "rootfs"}, 0};
    const auto id = TRY(context.record(made));
    pass();
    const auto target = bundle_ + "/rootfs";
    if (::mount("none", target.c_str(), "tmpfs", 0, nullptr) != 0)
      return fail_errno("mount", errno);
    pass();
    struct statx st {};
    ::statx(AT_FDCWD, target.c_str(), 0, STATX_MNT_ID, &st);
    made.mount_id = st.stx_mnt_id;
    TRY(context.amend(id, made));
    pass();
    return {};
  }

  outcome<void> make_process(step_context& context) {
    process_effect made{0, 0, token};
    const auto id = TRY(context.record(made));
    pass();
    std::string name = "sh";
    std::string flag = "-c";
    std::string script = "kill -STOP $$; : " + token;
    std::array<char*, 4> argv{name.data(), flag.data(), script.data(), nullptr};
    if (::posix_spawn(&made.pid, "/bin/sh", nullptr, nullptr, argv.data(), environ) != 0)
      return fail(errc::host_io, "spawn");
    pass();
    made.start_time = inspect(made.pid)->start_time;
    TRY(context.amend(id, made));
    pass();
    return {};
  }

  std::string pod_;
  std::string bundle_;
  int left_;
};

/// What is wrong after death at point `at` and a sweep: 0 for nothing.
int die_and_sweep(const scratch_folder& folder, int at) {
  const auto pod = folder.file(fmt::format("state/p{}", at));
  const auto bundle = folder.file(fmt::format("bundle{}", at));
  std::filesystem::create_directories(pod);
  std::filesystem::create_directories(bundle);
  if (testing::in_child([&] { return doomed_daemon{pod, bundle, at}.run(); }) != 128 + SIGKILL)
    return 10;
  const auto host = make_host_effects();
  const auto swept = sweep(folder.file("state"), *host, monotonic_clock::now() + 10s);
  if (!swept || swept->size() != 1)
    return 11;
  // On a machine that stands still for seconds a killed process may outlive its undo; that is what
  // the next sweep is for. Any other problem stays one.
  if (const auto& problem = swept->front().problem) {
    std::cout << "first sweep: " << problem->to_string() << '\n';
    if (!sweep(folder.file("state"), *host, monotonic_clock::now() + 10s))
      return 14;
  }
  if (std::filesystem::exists(pod) || !std::filesystem::is_empty(bundle))
    return 12;
  return find_by_token(token).empty() ? 0 : 13;
}

} // namespace

TEST_CASE("fault: a daemon killed at any point of its boot leaves nothing after a sweep") {
  testing::need(::geteuid() == 0, "root");
  const scratch_folder folder;
  for (int at = 0; at <= kill_points; ++at) {
    CAPTURE(at);
    // A failing test leaves no mount either.
    CHECK(testing::among_own_mounts([&] { return die_and_sweep(folder, at); }) == 0);
  }
}
