#include "guest/agent/launch/terminal.hpp"

#include "guest/agent/launch/in_root.hpp"
#include "guest/agent/launch/mounting.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <cerrno>

namespace troupe::guest {
namespace {

outcome<unique_fd> slash() {
  unique_fd root{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!root)
    return fail_errno("open /", errno);
  return root;
}

outcome<void> check_devpts(int master) {
  struct stat node {};
  struct statfs info {};
  if (::fstat(master, &node) != 0 || ::fstatfs(master, &info) != 0)
    return fail_errno("process.terminal: stat /dev/pts/ptmx", errno);
  if (!S_ISCHR(node.st_mode) || info.f_type != DEVPTS_SUPER_MAGIC)
    return fail(errc::guest_fault, "process.terminal: /dev/pts/ptmx is not a terminal multiplexer");
  return {};
}

} // namespace

outcome<terminal_pair> open_terminal(const process_plan& plan) {
  terminal_pair pair;
  const auto root = TRY(slash());
  auto master = open_in_root(root.get(), "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (!master)
    return within("process.terminal", master.error());
  pair.master = *std::move(master);
  TRY(check_devpts(pair.master.get()));
  int unlocked = 0;
  if (::ioctl(pair.master.get(), TIOCSPTLCK, &unlocked) != 0)
    return fail_errno("process.terminal: unlock", errno);
  pair.slave.reset(::ioctl(pair.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pair.slave)
    return fail_errno("process.terminal: open the slave", errno);
  if (plan.rows != 0 || plan.columns != 0) {
    const winsize size{plan.rows, plan.columns, 0, 0};
    (void)::ioctl(pair.master.get(), TIOCSWINSZ, &size);
  }
  return pair;
}

outcome<void> take_terminal(int slave, uid_t owner) {
  if (::ioctl(slave, TIOCSCTTY, 0) != 0)
    return fail_errno("process.terminal: make it the controlling terminal", errno);
  if (::fchown(slave, owner, static_cast<gid_t>(-1)) != 0)
    return fail_errno("process.terminal: chown", errno);
  for (int fd = 0; fd <= 2; ++fd)
    if (::dup2(slave, fd) < 0)
      return fail_errno("process.terminal: dup2", errno);
  return {};
}

outcome<void> make_console(int slave) {
  const auto root = TRY(slash());
  const auto target = TRY(make_file_in_root(root.get(), "/dev/console", links::refuse));
  const auto tree = TRY(clone_mount(slave, "", false));
  return attach_mount(tree.get(), target.get());
}

} // namespace troupe::guest
