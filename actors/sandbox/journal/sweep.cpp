#include "actors/sandbox/journal/sweep.hpp"

#include "actors/sandbox/journal/beneath.hpp"
#include "actors/sandbox/journal/process_info.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

namespace troupe::journal {
namespace {

constexpr unsigned lock_pause_us = 1000;

std::string journal_in(const std::string& directory) {
  return fmt::format("{}/{}", directory, file_name);
}

/// The journal goes last: until then a next try finds everything it needs.
outcome<void> remove_run_folder(const std::string& directory) {
  const unique_fd folder{
      ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!folder)
    return fail_errno("open " + directory, errno);
  TRY(remove_contents(folder.get(), file_name));
  TRY(remove_contents(folder.get(), {}));
  if (::rmdir(directory.c_str()) != 0)
    return fail_errno("remove folder " + directory, errno);
  return {};
}

/// Without a journal nothing was done yet; at most it was being made.
outcome<void> remove_empty(const std::string& directory) {
  (void)::unlink((journal_in(directory) + std::string{next_suffix}).c_str());
  if (::rmdir(directory.c_str()) == 0 || errno == ENOENT)
    return {};
  if (errno == ENOTEMPTY)
    return fail(errc::failed_precondition, "{}: not empty, and without a journal", directory);
  return fail_errno("remove folder " + directory, errno);
}

/// A killed process looks dead once its first thread is; the others hold its files, and the lock
/// with them, for an instant longer.
outcome<std::unique_ptr<file>> open_of(const owner& who, const std::string& path,
                                       time_point deadline) {
  for (;;) {
    auto opened = file::open_existing(path);
    if (opened || opened.error().code != errc::failed_precondition || alive(who) ||
        monotonic_clock::now() >= deadline)
      return opened;
    ::usleep(lock_pause_us);
  }
}

void note(swept& result, outcome<void> done) {
  if (!done && !result.problem)
    result.problem = std::move(done).error();
}

} // namespace

bool alive(const owner& who) {
  const auto info = inspect(who.pid);
  return info && !info->dead() && info->start_time == who.start_time;
}

outcome<swept> sweep_one(const std::string& directory, host_effects& host, time_point deadline) {
  swept result{directory, {}, {}};
  const auto path = journal_in(directory);
  const auto by = read_owner(path);
  if (!by && by.error().code == errc::not_found) {
    TRY(remove_empty(directory));
    return result;
  }
  if (!by)
    return tl::unexpected(by.error());
  const auto journal = TRY(open_of(*by, path, deadline));
  // An owner of an earlier boot is dead, whoever has its pid now.
  const auto written_now = journal->written_in() == journal->this_boot();
  if (written_now && alive(*by))
    return fail(errc::failed_precondition, "{}: process {} is using it", directory, by->pid);
  result.undo = undo_all(*journal, host, deadline);
  result.problem = journal->damage();
  if (result.undo.clean())
    note(result, remove_run_folder(directory));
  else
    note(result, fail(errc::host_io, "{}: kept: {}", directory, result.undo.to_string()));
  return result;
}

outcome<std::vector<swept>> sweep(const std::string& state_dir, host_effects& host,
                                  time_point deadline) {
  std::vector<swept> all;
  std::error_code error;
  std::filesystem::directory_iterator item{state_dir, error};
  if (error == std::errc::no_such_file_or_directory)
    return all;
  for (; !error && item != std::filesystem::directory_iterator{}; item.increment(error)) {
    const auto directory = item->path().string();
    const auto by = read_owner(journal_in(directory));
    if (!by && by.error().code != errc::corrupt)
      continue; // no journal in it
    auto done = sweep_one(directory, host, deadline);
    if (done)
      all.push_back(*std::move(done));
    else if (done.error().code != errc::failed_precondition)
      all.push_back({directory, {}, std::move(done).error()});
  }
  if (error)
    return fail_errno("read " + state_dir, error.value());
  return all;
}

} // namespace troupe::journal
