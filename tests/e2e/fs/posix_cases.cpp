#include "tests/e2e/fs/posix_cases.hpp"

#include "tests/e2e/fs/guest_files.hpp"

#include <dirent.h>
#include <grp.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <set>
#include <vector>

namespace troupe::testing {
namespace {

/// Runs in a child as an ordinary user; the child's exit status says whether all was well.
void as_user(uid_t user, const std::vector<gid_t>& groups, const std::function<void()>& work) {
  const auto child = ::fork();
  if (child == 0) {
    try {
      EXPECT(::setgroups(groups.size(), groups.data()) == 0);
      EXPECT(::setresgid(user, user, user) == 0);
      EXPECT(::setresuid(user, user, user) == 0);
      work();
      ::_exit(0);
    } catch (const std::exception& failed) {
      std::printf("fs-suite: as user %u: %s\n", user, failed.what());
      std::fflush(stdout);
      ::_exit(1);
    }
  }
  int status = 0;
  EXPECT(::waitpid(child, &status, 0) == child);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void modes() {
  ::umask(027);
  const int fd = open_file(share + "modes", O_RDWR | O_CREAT | O_EXCL, 0666);
  ::close(fd);
  EXPECT(status_of(share + "modes").st_mode == (S_IFREG | 0640));
  EXPECT(::mkdir((share + "modes.d").c_str(), 0777) == 0);
  EXPECT(status_of(share + "modes.d").st_mode == (S_IFDIR | 0750));
  ::umask(022);
  for (const mode_t mode : {0000U, 0777U, 01777U, 02755U, 04755U, 07777U}) {
    EXPECT(::chmod((share + "modes").c_str(), mode) == 0);
    EXPECT((status_of(share + "modes").st_mode & 07777) == mode);
  }
  EXPECT_ERROR(::open((share + "modes").c_str(), O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
  EXPECT_ERROR(::mkdir((share + "modes.d").c_str(), 0700), EEXIST);
}

void hard_links() {
  put(share + "one", "text");
  EXPECT(::link((share + "one").c_str(), (share + "two").c_str()) == 0);
  EXPECT(status_of(share + "one").st_ino == status_of(share + "two").st_ino);
  EXPECT(status_of(share + "one").st_nlink == 2);
  put(share + "two", "other");
  EXPECT(get(share + "one") == "other");
  EXPECT(::unlink((share + "one").c_str()) == 0);
  EXPECT(status_of(share + "two").st_nlink == 1);
  EXPECT(get(share + "two") == "other");
}

void symbolic_links() {
  EXPECT(::symlink("two", (share + "sym").c_str()) == 0);
  std::array<char, 16> target{};
  EXPECT(::readlink((share + "sym").c_str(), target.data(), target.size()) == 3);
  EXPECT(std::string(target.data()) == "two");
  EXPECT(status_of(share + "sym").st_size == 3);
  EXPECT(get(share + "sym") == "other");
  // An absolute target leads to the guest's file, not the host's.
  put("/in-the-guest", "guest");
  EXPECT(::symlink("/in-the-guest", (share + "abs").c_str()) == 0);
  EXPECT(get(share + "abs") == "guest");
  EXPECT_ERROR(::open((share + "sym").c_str(), O_RDONLY | O_NOFOLLOW), ELOOP);
  EXPECT(::symlink("loop", (share + "loop").c_str()) == 0);
  EXPECT_ERROR(::open((share + "loop").c_str(), O_RDONLY), ELOOP);
}

void attributes() {
  const auto path = share + "xattr";
  put(path, "");
  std::array<char, 64> value{};
  EXPECT(::setxattr(path.c_str(), "user.a", "value", 5, 0) == 0);
  EXPECT(::getxattr(path.c_str(), "user.a", value.data(), value.size()) == 5);
  EXPECT(std::string(value.data()) == "value");
  EXPECT(::listxattr(path.c_str(), value.data(), value.size()) == 7);
  EXPECT_ERROR(::setxattr(path.c_str(), "user.a", "x", 1, XATTR_CREATE), EEXIST);
  EXPECT_ERROR(::setxattr(path.c_str(), "user.b", "x", 1, XATTR_REPLACE), ENODATA);
  EXPECT_ERROR(::getxattr(path.c_str(), "user.a", value.data(), 4), ERANGE);
  EXPECT(::removexattr(path.c_str(), "user.a") == 0);
  EXPECT_ERROR(::getxattr(path.c_str(), "user.a", value.data(), value.size()), ENODATA);
  EXPECT_ERROR(::setxattr(path.c_str(), "trusted.overlay.opaque", "y", 1, 0), EOPNOTSUPP);
}

void times() {
  const auto path = share + "times";
  put(path, "");
  const std::array<timespec, 2> wanted{timespec{1'234'567'890, 1},
                                       timespec{2'000'000'000, 999'999'999}};
  EXPECT(::utimensat(AT_FDCWD, path.c_str(), wanted.data(), 0) == 0);
  const auto found = status_of(path);
  EXPECT(found.st_atim.tv_sec == 1'234'567'890 && found.st_atim.tv_nsec == 1);
  EXPECT(found.st_mtim.tv_sec == 2'000'000'000 && found.st_mtim.tv_nsec == 999'999'999);
  EXPECT(::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0);
  EXPECT(status_of(path).st_mtim.tv_sec != 2'000'000'000);
}

void renames() {
  const auto a = share + "ren.a";
  const auto b = share + "ren.b";
  put(a, "a");
  put(b, "b");
  EXPECT_ERROR(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_NOREPLACE), EEXIST);
  EXPECT(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0);
  EXPECT(get(a) == "b" && get(b) == "a");
  const int replaced = open_file(b, O_RDONLY);
  EXPECT(::rename(a.c_str(), b.c_str()) == 0);
  EXPECT(get(b) == "b");
  std::array<char, 4> old{};
  EXPECT(::read(replaced, old.data(), old.size()) == 1 && old[0] == 'a');
  ::close(replaced);
  EXPECT(::mkdir((share + "ren.d").c_str(), 0755) == 0);
  EXPECT(::mkdir((share + "ren.d/in").c_str(), 0755) == 0);
  put(share + "ren.d/in/f", "deep");
  EXPECT(::rename((share + "ren.d").c_str(), (share + "ren.e").c_str()) == 0);
  EXPECT(get(share + "ren.e/in/f") == "deep");
  EXPECT_ERROR(::rename((share + "ren.e").c_str(), (share + "ren.e/in/x").c_str()), EINVAL);
  EXPECT_ERROR(::rename(b.c_str(), (share + "ren.e").c_str()), EISDIR);
  EXPECT_ERROR(::rename(b.c_str(), (control + "x").c_str()), EXDEV);
}

void unlink_while_open() {
  const auto path = share + "gone";
  const int fd = open_file(path, O_RDWR | O_CREAT);
  EXPECT(::unlink(path.c_str()) == 0);
  EXPECT_ERROR(::access(path.c_str(), F_OK), ENOENT);
  EXPECT(::write(fd, "still", 5) == 5);
  std::array<char, 8> back{};
  EXPECT(::pread(fd, back.data(), back.size(), 0) == 5);
  struct stat found {};
  EXPECT(::fstat(fd, &found) == 0);
  EXPECT(found.st_nlink == 0 && found.st_size == 5);
  EXPECT(::ftruncate(fd, 2) == 0 && ::fchmod(fd, 0600) == 0);
  EXPECT(::close(fd) == 0);
}

void sizes() {
  const auto path = share + "size";
  put(path, "0123456789");
  EXPECT(::truncate(path.c_str(), 4) == 0);
  EXPECT(get(path) == "0123");
  const int fd = open_file(path, O_RDWR);
  EXPECT(::ftruncate(fd, 6) == 0);
  EXPECT(get(path) == std::string("0123\0\0", 6));
  EXPECT(::fsync(fd) == 0 && ::fdatasync(fd) == 0 && ::syncfs(fd) == 0);
  ::close(fd);
  ::close(open_file(path, O_WRONLY | O_TRUNC));
  EXPECT(status_of(path).st_size == 0);
}

void holes() {
  const int fd = open_file(share + "holes", O_RDWR | O_CREAT);
  EXPECT(::pwrite(fd, "x", 1, 10 << 20) == 1);
  EXPECT(::lseek(fd, 0, SEEK_DATA) == 10 << 20);
  EXPECT(::lseek(fd, 0, SEEK_HOLE) == 0);
  EXPECT(::lseek(fd, 0, SEEK_END) == (10 << 20) + 1);
  struct stat found {};
  EXPECT(::fstat(fd, &found) == 0 && found.st_blocks < 1000);
  EXPECT(::fallocate(fd, 0, 0, 1 << 20) == 0);
  EXPECT(::lseek(fd, 0, SEEK_END) == (10 << 20) + 1);
  EXPECT(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10 << 20, 4096) == 0);
  std::array<char, 1> byte{'?'};
  EXPECT(::pread(fd, byte.data(), 1, 10 << 20) == 1 && byte[0] == 0);
  ::close(fd);
}

void listing() {
  // As the host says; a listing of some thousands comes in many answers.
  const char* const asked = std::getenv("fs_listed");
  const auto files = asked ? std::stoul(asked) : 5000;
  const auto folder = share + "many";
  EXPECT(::mkdir(folder.c_str(), 0755) == 0);
  for (std::size_t i = 0; i < files; ++i)
    ::close(open_file(folder + "/" + std::to_string(i), O_WRONLY | O_CREAT));
  std::set<std::string> names;
  auto* const dir = ::opendir(folder.c_str());
  EXPECT(dir != nullptr);
  while (const auto* entry = ::readdir(dir))
    EXPECT(names.insert(entry->d_name).second);
  EXPECT(names.size() == files + 2);
  ::rewinddir(dir);
  ::readdir(dir);
  const auto where = ::telldir(dir);
  const std::string second = ::readdir(dir)->d_name;
  for (int i = 0; i < 100; ++i)
    ::readdir(dir);
  ::seekdir(dir, where);
  EXPECT(second == ::readdir(dir)->d_name);
  ::closedir(dir);
  EXPECT_ERROR(::rmdir(folder.c_str()), ENOTEMPTY);
  for (std::size_t i = 0; i < files; ++i)
    EXPECT(::unlink((folder + "/" + std::to_string(i)).c_str()) == 0);
  EXPECT(::rmdir(folder.c_str()) == 0);
}

void file_systems() {
  struct statfs found {};
  EXPECT(::statfs(share.c_str(), &found) == 0);
  EXPECT(found.f_blocks > 0 && found.f_bsize > 0 && found.f_namelen == 255);
  EXPECT(status_of(share).st_dev != status_of(control).st_dev);
  EXPECT(status_of(share).st_dev != status_of("/mnt").st_dev);
  EXPECT_ERROR(::mkdir("/mnt/new", 0755), EROFS);
  EXPECT_ERROR(::rmdir("/mnt/c1"), EROFS);
}

void mappings() {
  const auto path = share + "map";
  put(path, std::string(10'000, 'm'));
  const int fd = open_file(path, O_RDWR);
  auto* const bytes =
      static_cast<char*>(::mmap(nullptr, 10'000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  EXPECT(bytes != MAP_FAILED);
  EXPECT(bytes[0] == 'm' && bytes[9'999] == 'm');
  bytes[5'000] = 'X';
  EXPECT(::msync(bytes, 10'000, MS_SYNC) == 0);
  ::munmap(bytes, 10'000);
  ::close(fd);
  EXPECT(get(path).at(5'000) == 'X');
}

void appending() {
  const auto path = share + "append";
  const int first = open_file(path, O_WRONLY | O_CREAT | O_APPEND);
  const int second = open_file(path, O_WRONLY | O_APPEND);
  EXPECT(::write(first, "a", 1) == 1 && ::write(second, "b", 1) == 1 &&
         ::write(first, "c", 1) == 1);
  ::close(first);
  ::close(second);
  EXPECT(get(path) == "abc");
}

void owners() {
  const auto path = share + "owner";
  put(path, "");
  EXPECT(::chown(path.c_str(), 1000, 1000) == 0);
  EXPECT(status_of(path).st_uid == 1000 && status_of(path).st_gid == 1000);
  put(share + "roots", "");
  EXPECT(::chmod(share.c_str(), 01777) == 0);
  as_user(1000, {}, [&] {
    EXPECT_ERROR(::chown((share + "owner").c_str(), 0, 0), EPERM);
    EXPECT_ERROR(::chmod((share + "roots").c_str(), 0777), EPERM);
    EXPECT_ERROR(::unlink((share + "roots").c_str()), EPERM);
    EXPECT_ERROR(::open((share + "roots").c_str(), O_WRONLY), EACCES);
    EXPECT(::chmod((share + "owner").c_str(), 0600) == 0);
    put(share + "users", "");
  });
  EXPECT(status_of(share + "users").st_uid == 1000 && status_of(share + "users").st_gid == 1000);
}

void groups() {
  const auto folder = share + "grouped";
  EXPECT(::mkdir(folder.c_str(), 0) == 0 && ::chown(folder.c_str(), 0, 2000) == 0);
  EXPECT(::chmod(folder.c_str(), 02770) == 0);
  as_user(1000, {2000}, [&] {
    put(folder + "/f", "by a supplementary group");
    EXPECT(status_of(folder + "/f").st_gid == 2000);
  });
  as_user(1000, {}, [&] { EXPECT_ERROR(::access((folder + "/f").c_str(), F_OK), EACCES); });
}

void privileges() {
  const auto path = share + "suid";
  put(path, "");
  EXPECT(::chmod(path.c_str(), 06777) == 0);
  as_user(1000, {}, [&] { put(path, "x"); });
  EXPECT((status_of(path).st_mode & 07777) == 0777);
}

void special_files() {
  EXPECT(::mkfifo((share + "fifo").c_str(), 0600) == 0);
  const int reader = open_file(share + "fifo", O_RDWR | O_NONBLOCK);
  const int writer = open_file(share + "fifo", O_WRONLY);
  std::array<char, 4> got{};
  EXPECT(::write(writer, "hi", 2) == 2 && ::read(reader, got.data(), got.size()) == 2);
  ::close(reader);
  ::close(writer);
  const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{AF_UNIX, {}};
  (share + "sock").copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* const named = reinterpret_cast<const sockaddr*>(&address);
  EXPECT(::bind(server, named, sizeof address) == 0 && ::listen(server, 1) == 0);
  const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT(::connect(client, named, sizeof address) == 0);
  ::close(client);
  ::close(server);
  EXPECT(S_ISSOCK(status_of(share + "sock").st_mode));
  EXPECT_ERROR(::mknod((share + "dev").c_str(), S_IFBLK | 0600, makedev(254, 0)), EPERM);
  EXPECT_ERROR(::mknod((share + "dev").c_str(), S_IFCHR | 0600, makedev(1, 3)), EPERM);
}

void locks() {
  const int one = open_file(share + "lock", O_RDWR | O_CREAT);
  const int two = open_file(share + "lock", O_RDWR);
  EXPECT(::flock(one, LOCK_EX | LOCK_NB) == 0);
  EXPECT_ERROR(::flock(two, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_len = 10;
  EXPECT(::fcntl(one, F_OFD_SETLK, &range) == 0);
  EXPECT_ERROR(::fcntl(two, F_OFD_SETLK, &range), EAGAIN);
  ::close(one);
  EXPECT(::flock(two, LOCK_EX | LOCK_NB) == 0);
  ::close(two);
}

void bulk() {
  std::vector<std::uint32_t> words(2 << 20);
  for (std::size_t i = 0; i < words.size(); ++i)
    words[i] = static_cast<std::uint32_t>(i * 2654435761U);
  const int fd = open_file(share + "bulk", O_RDWR | O_CREAT);
  const auto length = static_cast<ssize_t>(words.size() * sizeof words[0]);
  EXPECT(::write(fd, words.data(), static_cast<std::size_t>(length)) == length);
  EXPECT(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
  std::vector<std::uint32_t> back(words.size());
  EXPECT(::pread(fd, back.data(), static_cast<std::size_t>(length), 0) == length);
  EXPECT(back == words);
  const int copy = open_file(share + "bulk.copy", O_RDWR | O_CREAT);
  EXPECT(::copy_file_range(fd, nullptr, copy, nullptr, 0, 0) == 0);
  off_t from = 0;
  EXPECT(::copy_file_range(fd, &from, copy, nullptr, 1 << 20, 0) == 1 << 20);
  EXPECT(::pread(copy, back.data(), 1 << 20, 0) == 1 << 20);
  EXPECT(std::memcmp(back.data(), words.data(), 1 << 20) == 0);
  ::close(fd);
  ::close(copy);
}

void names() {
  const std::string longest(255, 'n');
  put(share + longest, "long");
  EXPECT(get(share + longest) == "long");
  EXPECT_ERROR(::open((share + longest + "n").c_str(), O_CREAT | O_RDWR, 0600), ENAMETOOLONG);
  put(share + "new\nline \xff", "odd");
  EXPECT(get(share + "new\nline \xff") == "odd");
  std::string deep = share + "deep";
  EXPECT(::mkdir(deep.c_str(), 0755) == 0);
  for (int i = 0; i < 60; ++i) {
    deep += "/level";
    EXPECT(::mkdir(deep.c_str(), 0755) == 0);
  }
  put(deep + "/f", "bottom");
  EXPECT(get(deep + "/../level/f") == "bottom");
}

void read_only_share() {
  EXPECT(get(read_only + "file") == "read me");
  EXPECT_ERROR(::open((read_only + "file").c_str(), O_WRONLY), EROFS);
  EXPECT_ERROR(::open((read_only + "new").c_str(), O_CREAT | O_RDWR, 0600), EROFS);
  EXPECT_ERROR(::unlink((read_only + "file").c_str()), EROFS);
  EXPECT_ERROR(::truncate((read_only + "file").c_str(), 0), EROFS);
  EXPECT_ERROR(::chmod((read_only + "file").c_str(), 0777), EROFS);
  EXPECT_ERROR(::setxattr((read_only + "file").c_str(), "user.a", "x", 1, 0), EROFS);
}

void execution() {
  const int from = open_file("/init", O_RDONLY);
  const int to = open_file(share + "program", O_WRONLY | O_CREAT, 0755);
  std::vector<char> bytes(static_cast<std::size_t>(status_of("/init").st_size));
  const auto length = static_cast<ssize_t>(bytes.size());
  EXPECT(::read(from, bytes.data(), bytes.size()) == length);
  EXPECT(::write(to, bytes.data(), bytes.size()) == length);
  ::close(from);
  ::close(to);
  const auto child = ::fork();
  if (child == 0) {
    ::execl((share + "program").c_str(), "program", "exit-42", nullptr);
    ::_exit(1);
  }
  int status = 0;
  EXPECT(::waitpid(child, &status, 0) == child);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

constexpr std::array all_cases{
    posix_case{"modes", modes},
    posix_case{"hard links", hard_links},
    posix_case{"symbolic links", symbolic_links},
    posix_case{"attributes", attributes},
    posix_case{"times", times},
    posix_case{"renames", renames},
    posix_case{"unlink while open", unlink_while_open},
    posix_case{"sizes and fsync", sizes},
    posix_case{"holes", holes},
    posix_case{"readdir of many", listing},
    posix_case{"file systems", file_systems},
    posix_case{"mappings", mappings},
    posix_case{"appending", appending},
    posix_case{"owners", owners},
    posix_case{"supplementary groups", groups},
    posix_case{"privileges", privileges},
    posix_case{"special files", special_files},
    posix_case{"locks", locks},
    posix_case{"bulk", bulk},
    posix_case{"names", names},
    posix_case{"read-only share", read_only_share},
    posix_case{"execution", execution},
};

} // namespace

std::span<const posix_case> posix_cases() {
  return all_cases;
}

} // namespace troupe::testing
