#include "messages/ttrpc/server.hpp"

#include "messages/ttrpc/connection.hpp"
#include "messages/vocabulary/log.hpp"

#include <asio/bind_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <utility>
#include <vector>

namespace troupe::ttrpc {
namespace {

/// Clients that connect without pause must not keep the connected ones waiting.
constexpr int accepts_per_turn = 16;
/// How long to leave the listener alone when the process is out of descriptors or memory.
constexpr milliseconds accept_pause{100};

outcome<int> family_of(int fd) {
  int family = 0;
  socklen_t size = sizeof family;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0)
    return fail_errno("getsockopt SO_DOMAIN of a ttrpc socket", errno);
  return family;
}

/// AF_VSOCK answers SO_PEERCRED too, with nobody's numbers.
std::optional<peer_credentials> credentials_of(int fd) {
  ucred who{};
  socklen_t size = sizeof who;
  if (family_of(fd) != AF_UNIX || ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
    return std::nullopt;
  return peer_credentials{who.pid, who.uid, who.gid};
}

bool passing(int error) noexcept {
  return error == EINTR || error == ECONNABORTED || error == EPROTO;
}

} // namespace

class server::core final : public connection_owner, public std::enable_shared_from_this<core> {
public:
  core(asio::io_context& io, server_options options)
      : options_(std::move(options)), where_(strand{io.get_executor()}), listener_(io),
        pause_(where_), drain_(where_) {}

  [[nodiscard]] const server_options& options() const noexcept override { return options_; }
  [[nodiscard]] const method_table& methods() const noexcept override { return methods_; }
  [[nodiscard]] bool stopping() const noexcept override { return stopping_; }
  [[nodiscard]] const strand& where() const noexcept { return where_; }

  void add(std::string service, std::string method, handler handle) {
    methods_[std::move(service)][std::move(method)] = std::move(handle);
  }
  outcome<void> listen(unique_fd listening);
  void serve(stream_socket accepted);
  void stop(milliseconds drain, std::function<void()> done);
  void close_all();
  void forget(std::uint64_t id) override;

private:
  void wait_for_client();
  void accept_ready();
  void accept_later();
  void admit(unique_fd accepted);
  void settle();
  [[nodiscard]] std::vector<std::shared_ptr<connection>> snapshot() const;

  server_options options_;
  strand where_;
  method_table methods_;
  asio::posix::stream_descriptor listener_;
  int family_ = AF_UNSPEC;
  asio::steady_timer pause_;
  asio::steady_timer drain_;
  std::unordered_map<std::uint64_t, std::shared_ptr<connection>> connections_;
  std::uint64_t last_id_ = 0;
  bool stopping_ = false;
  std::function<void()> stopped_;
};

outcome<void> server::core::listen(unique_fd listening) {
  family_ = TRY(family_of(listening.get()));
  asio::error_code error;
  listener_.assign(listening.get(), error);
  if (error)
    return fail_errno("watch the listening ttrpc socket", error.value());
  static_cast<void>(listening.release());
  listener_.native_non_blocking(true, error);
  if (error)
    return fail_errno("set the listening ttrpc socket non-blocking", error.value());
  asio::post(where_, [self = shared_from_this()] { self->wait_for_client(); });
  return {};
}

void server::core::wait_for_client() {
  if (stopping_)
    return;
  const auto ready = [self = shared_from_this()](const asio::error_code& error) {
    if (!error)
      self->accept_ready();
  };
  listener_.async_wait(asio::posix::stream_descriptor::wait_read,
                       asio::bind_executor(where_, ready));
}

// Not asio's acceptor: it makes descriptors without CLOEXEC, and every spawned process would hold
// them.
void server::core::accept_ready() {
  for (int i = 0; i < accepts_per_turn && !stopping_; ++i) {
    unique_fd accepted{
        ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (accepted) {
      admit(std::move(accepted));
    } else if (errno == EAGAIN) {
      break;
    } else if (!passing(errno)) {
      log::warn(options_.name, "accept: {}",
                asio::error_code{errno, asio::system_category()}.message());
      return accept_later();
    }
  }
  wait_for_client();
}

void server::core::accept_later() {
  pause_.expires_after(accept_pause);
  const auto again = [self = shared_from_this()](const asio::error_code& error) {
    if (!error)
      self->wait_for_client();
  };
  pause_.async_wait(asio::bind_executor(where_, again));
}

void server::core::admit(unique_fd accepted) {
  stream_socket socket{where_.get_inner_executor()};
  asio::error_code error;
  socket.assign(asio::generic::stream_protocol{family_, 0}, accepted.get(), error);
  if (error)
    return log::warn(options_.name, "watch an accepted connection: {}", error.message());
  static_cast<void>(accepted.release());
  serve(std::move(socket));
}

void server::core::serve(stream_socket accepted) {
  const auto peer = credentials_of(accepted.native_handle());
  if (stopping_)
    return;
  if (peer && options_.accept_if && !options_.accept_if(*peer))
    return log::warn(options_.name, "refused pid {} of uid {}", peer->pid, peer->uid);
  if (connections_.size() >= options_.max_connections)
    return log::warn(options_.name, "refused a connection: {} are open", connections_.size());
  const auto id = ++last_id_;
  const auto fresh =
      std::make_shared<connection>(std::move(accepted), where_, weak_from_this(), id, peer);
  connections_.emplace(id, fresh);
  fresh->start();
}

void server::core::stop(milliseconds drain, std::function<void()> done) {
  stopping_ = true;
  stopped_ = std::move(done);
  asio::error_code ignored;
  listener_.close(ignored);
  pause_.cancel();
  for (const auto& each : snapshot())
    each->finish();
  if (connections_.empty())
    return settle();
  drain_.expires_after(drain);
  drain_.async_wait(asio::bind_executor(where_, [self = shared_from_this()](const auto& error) {
    if (!error)
      self->close_all();
  }));
}

void server::core::close_all() {
  stopping_ = true;
  asio::error_code ignored;
  listener_.close(ignored);
  pause_.cancel();
  for (const auto& each : snapshot())
    each->shut();
}

void server::core::forget(std::uint64_t id) {
  connections_.erase(id);
  if (stopping_ && connections_.empty())
    settle();
}

void server::core::settle() {
  drain_.cancel();
  if (const auto done = std::exchange(stopped_, nullptr))
    done();
}

std::vector<std::shared_ptr<connection>> server::core::snapshot() const {
  std::vector<std::shared_ptr<connection>> all;
  all.reserve(connections_.size());
  for (const auto& [id, each] : connections_)
    all.push_back(each);
  return all;
}

std::string_view request::find(std::string_view key) const noexcept {
  for (const auto& [name, value] : metadata)
    if (name == key)
      return value;
  return {};
}

reply::~reply() {
  if (to_.use_count() > 0)
    deliver(fail(errc::internal, "the call was dropped without an answer"));
}

void reply::send(outcome<std::string> answer) && {
  deliver(std::move(answer));
}

void reply::deliver(outcome<std::string> answer) {
  const auto to = std::exchange(to_, {}).lock();
  if (!to)
    return;
  asio::post(to->where(),
             [to, stream = stream_, serial = serial_, answer = std::move(answer)]() mutable {
               to->answer(stream, serial, std::move(answer));
             });
}

server::server(asio::io_context& io, server_options options)
    : core_(std::make_shared<core>(io, std::move(options))) {
  quiet_protobuf();
}

server::~server() {
  asio::post(core_->where(), [core = core_] { core->close_all(); });
}

void server::add(std::string service, std::string method, handler handle) {
  core_->add(std::move(service), std::move(method), std::move(handle));
}

outcome<void> server::listen(unique_fd listening) {
  return core_->listen(std::move(listening));
}

void server::serve(stream_socket accepted) {
  asio::post(core_->where(), [core = core_, socket = std::move(accepted)]() mutable {
    core->serve(std::move(socket));
  });
}

void server::stop(milliseconds drain, std::function<void()> done) {
  asio::post(core_->where(), [core = core_, drain, done = std::move(done)]() mutable {
    core->stop(drain, std::move(done));
  });
}

} // namespace troupe::ttrpc
