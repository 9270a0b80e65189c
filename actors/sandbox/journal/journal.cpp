#include "actors/sandbox/journal/journal.hpp"

#include "actors/sandbox/journal/process_info.hpp"
#include "actors/sandbox/journal/record.hpp"
#include "messages/vocabulary/log.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

namespace troupe::journal {
namespace {

outcome<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail_errno("journal: write", errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

outcome<std::string> read_all(int fd) {
  std::string bytes;
  std::array<char, 16384> buffer{};
  while (bytes.size() <= max_file_size) {
    const auto n = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(bytes.size()));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail_errno("journal: read", errno);
    if (n == 0)
      return bytes;
    bytes.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return fail(errc::corrupt, "journal: longer than {} bytes", max_file_size);
}

outcome<void> lock(int fd, const std::string& path) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0)
    return {};
  if (errno == EWOULDBLOCK)
    return fail(errc::failed_precondition, "journal {}: another process holds it", path);
  return fail_errno("journal: flock", errno);
}

outcome<unique_fd> open_file(const std::string& path, int flags) {
  unique_fd fd{::open(path.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, 0600)};
  if (fd)
    return fd;
  const int error = errno;
  const auto what = fmt::format("journal: open {}", path);
  auto failure = fail_errno(what, error);
  if (error == ENOENT)
    failure.value().code = errc::not_found;
  return failure;
}

} // namespace

outcome<owner> this_process() {
  const auto info = inspect(::getpid());
  if (!info)
    return fail(errc::host_io, "read /proc/self/stat: is /proc mounted?");
  return owner{::getpid(), info->start_time};
}

outcome<owner> read_owner(const std::string& path) {
  const auto fd = TRY(open_file(path, O_RDONLY));
  const auto found = scan(TRY(read_all(fd.get())));
  if (found.records.empty() || !std::holds_alternative<owner_record>(found.records.front().what))
    return fail(errc::corrupt, "journal {}: no owner record", path);
  return std::get<owner_record>(found.records.front().what).by;
}

outcome<std::unique_ptr<file>> file::create(const std::string& path, const owner& by,
                                            const root_table& roots) {
  TRY(check(roots));
  std::unique_ptr<file> made{new file};
  made->boot_ = TRY(current_boot_id());
  made->owner_boot_ = made->boot_;
  made->path_ = path;
  made->owner_ = by;
  made->roots_ = roots;
  // Under its name there is never a journal without an owner, whenever we die.
  const auto next_path = path + std::string{next_suffix};
  made->fd_ = TRY(open_file(next_path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND));
  TRY(lock(made->fd_.get(), next_path));
  TRY(made->append(encode(owner_record{by, roots})));
  if (::renameat2(AT_FDCWD, next_path.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0)
    return made;
  const int error = errno;
  (void)::unlink(next_path.c_str());
  if (error == EEXIST)
    return fail(errc::already_exists, "journal {}: there is one already", path);
  return fail_errno("journal: rename " + next_path, error);
}

outcome<std::unique_ptr<file>> file::open_existing(const std::string& path) {
  std::unique_ptr<file> opened{new file};
  opened->boot_ = TRY(current_boot_id());
  opened->fd_ = TRY(open_file(path, O_RDWR | O_APPEND));
  TRY(lock(opened->fd_.get(), path));
  opened->path_ = path;
  TRY(opened->load());
  return opened;
}

outcome<void> file::load() {
  auto found = scan(TRY(read_all(fd_.get())));
  if (found.records.empty() || !std::holds_alternative<owner_record>(found.records.front().what))
    return fail(errc::corrupt, "journal {}: no owner record", path_);
  for (auto& [boot, what] : found.records) {
    if (auto* by = std::get_if<owner_record>(&what)) {
      owner_ = by->by;
      owner_boot_ = boot;
      roots_ = std::move(by->roots);
    } else if (auto* made = std::get_if<effect_record>(&what)) {
      last_id_ = std::max(last_id_, static_cast<std::uint32_t>(made->id));
      live_[made->id] = live_effect{made->id, std::move(made->what), boot};
    } else {
      live_.erase(std::get<settled_record>(what).id);
    }
  }
  damage_ = std::move(found.damage);
  size_ = found.end;
  if (found.torn && ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0)
    return fail_errno("journal: cut off the torn tail", errno);
  return {};
}

outcome<void> file::append(const std::string& payload) {
  const auto bytes = frame(boot_, payload);
  if (auto written = write_all(fd_.get(), bytes); !written) {
    // Half a frame in the middle would be damage for the next reader. If even this fails the
    // reader finds the next sound frame all the same.
    (void)::ftruncate(fd_.get(), static_cast<off_t>(size_));
    return written;
  }
  size_ += bytes.size();
  return {};
}

outcome<effect_id> file::record(const effect& what) {
  TRY(check(what));
  const std::lock_guard guard{mutex_};
  if (live_.size() >= max_live_effects)
    return fail(errc::resource_exhausted, "journal: {} live effects", max_live_effects);
  if (size_ > compaction_threshold && size_ > 4 * last_compact_size_)
    compact();
  const effect_id id{last_id_ + 1};
  TRY(append(encode(effect_record{id, what})));
  ++last_id_;
  live_[id] = live_effect{id, what, boot_};
  return id;
}

outcome<void> file::amend(effect_id id, const effect& what) {
  TRY(check(what));
  const std::lock_guard guard{mutex_};
  const auto found = live_.find(id);
  if (found == live_.end())
    return fail(errc::not_found, "journal: effect {} is not live", static_cast<unsigned>(id));
  TRY(append(encode(effect_record{id, what})));
  found->second.what = what;
  return {};
}

outcome<void> file::settle(effect_id id) {
  const std::lock_guard guard{mutex_};
  const auto found = live_.find(id);
  if (found == live_.end())
    return {};
  TRY(append(encode(settled_record{id})));
  live_.erase(found);
  return {};
}

void file::compact() {
  if (auto rewritten = rewrite(); !rewritten)
    log::warn("journal", "{}: not compacted: {}", path_, rewritten.error().to_string());
  last_compact_size_ = size_; // also after a failure: the next try waits as long
}

outcome<void> file::rewrite() {
  const auto next_path = path_ + std::string{next_suffix};
  auto next = TRY(open_file(next_path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND));
  TRY(lock(next.get(), next_path));
  auto bytes = frame(owner_boot_, encode(owner_record{owner_, roots_}));
  for (const auto& [id, entry] : live_)
    bytes += frame(entry.boot, encode(effect_record{id, entry.what}));
  TRY(write_all(next.get(), bytes));
  if (::rename(next_path.c_str(), path_.c_str()) != 0)
    return fail_errno("journal: rename " + next_path, errno);
  fd_ = std::move(next);
  size_ = bytes.size();
  return {};
}

std::vector<live_effect> file::live() const {
  const std::lock_guard guard{mutex_};
  std::vector<live_effect> all;
  all.reserve(live_.size());
  for (const auto& [id, entry] : live_)
    all.push_back(entry);
  return all;
}

std::optional<live_effect> file::find(effect_id id) const {
  const std::lock_guard guard{mutex_};
  const auto found = live_.find(id);
  return found == live_.end() ? std::nullopt : std::optional{found->second};
}

} // namespace troupe::journal
