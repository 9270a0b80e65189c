#include "actors/sandbox/hypervisor/qemu/spawn.hpp"

#include "actors/sandbox/journal/process_info.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <string_view>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::hypervisor::qemu {
namespace {

/// Sources are moved up here first, so that no dup2 in the child overwrites the source of another.
constexpr int staging_fd = 64;
/// Ours may hold what is nobody's business in a process that parses guest input.
constexpr std::array environment{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C"};

/// posix_spawn(3) takes char* for historical reasons and writes to none of them.
std::vector<char*> pointers(const auto& words) {
  std::vector<char*> out;
  for (const auto& word : words)
    out.push_back(const_cast<char*>(std::string_view{word}.data()));
  out.push_back(nullptr);
  return out;
}

class file_actions {
public:
  file_actions() { ::posix_spawn_file_actions_init(&actions_); }
  ~file_actions() { ::posix_spawn_file_actions_destroy(&actions_); }
  file_actions(const file_actions&) = delete;
  file_actions& operator=(const file_actions&) = delete;

  [[nodiscard]] int fill(int output, std::span<const unique_fd> inherited) {
    int error = ::posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    for (const int target : {1, 2})
      error = error != 0 ? error : ::posix_spawn_file_actions_adddup2(&actions_, output, target);
    int target = first_inherited_fd;
    for (const auto& source : inherited)
      error = error != 0 ? error
                         : ::posix_spawn_file_actions_adddup2(&actions_, source.get(), target++);
    return error != 0 ? error : ::posix_spawn_file_actions_addclosefrom_np(&actions_, target);
  }
  [[nodiscard]] const posix_spawn_file_actions_t* get() const noexcept { return &actions_; }

private:
  posix_spawn_file_actions_t actions_{};
};

class attributes {
public:
  attributes() {
    ::posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                 POSIX_SPAWN_SETPGROUP);
  }
  ~attributes() { ::posix_spawnattr_destroy(&attributes_); }
  attributes(const attributes&) = delete;
  attributes& operator=(const attributes&) = delete;
  [[nodiscard]] const posix_spawnattr_t* get() const noexcept { return &attributes_; }

private:
  posix_spawnattr_t attributes_{};
};

outcome<std::vector<unique_fd>> stage(std::span<const int> fds) {
  std::vector<unique_fd> staged;
  for (const int fd : fds) {
    staged.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, staging_fd));
    if (!staged.back())
      return fail_errno("spawn: duplicate a descriptor", errno);
  }
  return staged;
}

} // namespace

outcome<child> spawn(const std::vector<std::string>& argv, int output,
                     std::span<const int> inherited) {
  const std::array outputs{output};
  const auto staged_output = TRY(stage(outputs));
  const auto staged = TRY(stage(inherited));
  file_actions actions;
  if (const int error = actions.fill(staged_output.front().get(), staged); error != 0)
    return fail_errno("spawn: prepare", error);
  const auto words = pointers(argv);
  const auto variables = pointers(environment);
  const attributes how;
  child made;
  const int error = ::posix_spawn(&made.pid, words.front(), actions.get(), how.get(), words.data(),
                                  variables.data());
  if (error != 0) {
    auto why = fail_errno("spawn " + argv.front(), error);
    if (error == ENOENT)
      why.value().code = errc::not_found;
    return why;
  }
  made.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, made.pid, 0)));
  if (!made.pidfd) {
    const int why = errno;
    ::kill(made.pid, SIGKILL); // ours and not reaped yet, so the pid cannot be another's
    ::waitpid(made.pid, nullptr, 0);
    return fail_errno("spawn: pidfd_open", why);
  }
  if (const auto info = journal::inspect(made.pid))
    made.start_time = info->start_time;
  return made;
}

} // namespace troupe::hypervisor::qemu
