#include "actors/sandbox/hypervisor/qemu/qmp_client.hpp"

#include "messages/vocabulary/log.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>

namespace troupe::hypervisor::qemu {
namespace {

using nlohmann::json;

constexpr std::string_view who = "qemu/qmp";
/// A talkative QEMU must not keep the io thread: the rest comes with the next wake-up.
constexpr int reads_per_turn = 16;

failure ended() {
  return {errc::machine_gone, "qemu: the QMP connection ended", 0};
}

} // namespace

qmp_client::qmp_client(unique_fd socket, event_handler on_event)
    : socket_(std::move(socket)), on_event_(std::move(on_event)) {}

outcome<std::string> qmp_client::negotiate(time_point deadline) {
  std::unique_lock lock{mutex_};
  if (!changed_.wait_until(lock, deadline, [&] { return greeting_ || closed_; }))
    return fail(errc::deadline_exceeded, "qemu: wait for the QMP greeting");
  if (!greeting_)
    return tl::unexpected(*closed_);
  auto version = greeting_->version;
  lock.unlock();
  TRY(execute("qmp_capabilities", nullptr, deadline));
  return version;
}

outcome<json> qmp_client::execute(std::string_view name, const json& arguments, time_point deadline,
                                  int passed) {
  waiter mine;
  std::unique_lock lock{mutex_};
  if (closed_)
    return tl::unexpected(*closed_);
  const auto id = ++last_id_;
  waiters_[id] = &mine;
  auto sent = send(qmp::command(id, name, arguments), passed);
  if (sent)
    changed_.wait_until(lock, deadline, [&] { return mine.result || closed_; });
  waiters_.erase(id);
  if (!sent)
    return within(name, std::move(sent).error());
  if (mine.result)
    return *std::move(mine.result);
  if (closed_)
    return within(fmt::format("qemu: {}", name), *closed_);
  return fail(errc::deadline_exceeded, "qemu: wait for the answer to {}", name);
}

/// Never blocks: commands are small, so a full socket means that QEMU has stopped reading.
outcome<void> qmp_client::send(const std::string& line, int passed) {
  iovec data{const_cast<char*>(line.data()), line.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (passed >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &passed, sizeof passed);
  }
  const auto n = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n == static_cast<ssize_t>(line.size()))
    return {};
  if (n < 0 && errno == EPIPE)
    return tl::unexpected(ended());
  if (n >= 0 || errno == EAGAIN)
    return fail(errc::peer_fault, "qemu: does not read its QMP commands");
  return fail_errno("qemu: send a QMP command", errno);
}

bool qmp_client::on_readable() {
  std::array<char, 16384> buffer{};
  for (int turn = 0; turn < reads_per_turn; ++turn) {
    const auto n = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      return true;
    if (n <= 0) {
      close(ended());
      return false;
    }
    if (auto fed = lines_.feed({buffer.data(), static_cast<std::size_t>(n)}); !fed) {
      close(fed.error());
      return false;
    }
    while (const auto line = lines_.next()) {
      if (auto what = qmp::parse(*line))
        handle(*std::move(what));
      else
        log::warn(who, "{}", what.error().text);
    }
  }
  return true;
}

void qmp_client::handle(qmp::message what) {
  if (auto* hello = std::get_if<qmp::greeting>(&what)) {
    const std::lock_guard lock{mutex_};
    greeting_ = std::move(*hello);
    changed_.notify_all();
  } else if (auto* good = std::get_if<qmp::answer>(&what)) {
    settle(good->id, std::move(good->value));
  } else if (auto* bad = std::get_if<qmp::refusal>(&what)) {
    if (bad->id)
      settle(*bad->id, fail(errc::peer_fault, "qemu: {}: {}", bad->kind, bad->text));
    else
      log::warn(who, "refused without an id: {}: {}", bad->kind, bad->text);
  } else {
    on_event_(std::get<qmp::event>(what));
  }
}

void qmp_client::settle(std::uint64_t id, outcome<json> result) {
  const std::lock_guard lock{mutex_};
  const auto found = waiters_.find(id);
  if (found == waiters_.end())
    return; // its caller ran into the deadline
  found->second->result = std::move(result);
  changed_.notify_all();
}

void qmp_client::close(const failure& why) {
  const std::lock_guard lock{mutex_};
  if (!closed_)
    closed_ = why;
  changed_.notify_all();
}

} // namespace troupe::hypervisor::qemu
