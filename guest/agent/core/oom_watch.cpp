#include "guest/agent/core/oom_watch.hpp"

#include "messages/vocabulary/log.hpp"

#include <sys/inotify.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace troupe::guest {

oom_watch::oom_watch(asio::io_context& io) : events_(io) {
  const int fd = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (fd < 0) {
    log::warn("oom", "inotify: errno {}", errno);
    return;
  }
  events_.assign(fd);
  listen();
}

void oom_watch::add(const std::string& container, std::shared_ptr<const cgroup> group) {
  if (!events_.is_open())
    return;
  const auto file = group->path() + "/memory.events";
  const int watch = ::inotify_add_watch(events_.native_handle(), file.c_str(), IN_MODIFY);
  if (watch >= 0)
    watched_[watch] = {container, std::move(group), 0};
}

void oom_watch::remove(const std::string& container) {
  std::erase_if(watched_, [this, &container](const auto& item) {
    if (item.second.container != container)
      return false;
    ::inotify_rm_watch(events_.native_handle(), item.first);
    return true;
  });
}

void oom_watch::listen() {
  events_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [this](const asio::error_code& error) {
                       if (error)
                         return;
                       alignas(inotify_event) std::array<char, 4096> bytes{};
                       const auto got = ::read(events_.native_handle(), bytes.data(), bytes.size());
                       for (std::size_t at = 0; got > 0 && at < static_cast<std::size_t>(got);) {
                         inotify_event event{};
                         std::memcpy(&event, bytes.data() + at, sizeof event);
                         check(event.wd);
                         at += sizeof event + event.len;
                       }
                       listen();
                     });
}

void oom_watch::check(int watch) {
  const auto found = watched_.find(watch);
  if (found == watched_.end())
    return;
  const auto kills = keyed_value(found->second.group->read("memory.events"), "oom_kill");
  if (kills && *kills > std::exchange(found->second.kills, *kills))
    push(found->second.container);
}

void oom_watch::push(const std::string& container) {
  if (!waiting_.empty()) {
    const auto done = std::move(waiting_.front());
    waiting_.pop_front();
    return done(container);
  }
  queue_.push_back(container);
  if (queue_.size() > max_oom_events)
    queue_.pop_front();
}

void oom_watch::next(answer done) {
  if (!queue_.empty()) {
    done(std::move(queue_.front()));
    queue_.pop_front();
  } else if (waiting_.size() >= max_oom_waiters)
    done(fail(errc::resource_exhausted, "oom: {} calls wait already", waiting_.size()));
  else
    waiting_.push_back(std::move(done));
}

void oom_watch::stop() {
  for (auto& done : std::exchange(waiting_, {}))
    done(fail(errc::cancelled, "oom: the sandbox ends"));
}

} // namespace troupe::guest
