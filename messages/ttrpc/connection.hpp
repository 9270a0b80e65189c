#pragma once

#include "messages/ttrpc/server.hpp"

#include <asio/steady_timer.hpp>

#include <map>
#include <unordered_map>

/// Inside of the server; nobody else includes it.
namespace troupe::ttrpc {

/// Methods by service and name.
using method_table =
    std::map<std::string, std::map<std::string, handler, std::less<>>, std::less<>>;

/// What a connection needs of its server. Used on the strand only.
class connection_owner {
public:
  virtual ~connection_owner() = default;
  [[nodiscard]] virtual const server_options& options() const noexcept = 0;
  [[nodiscard]] virtual const method_table& methods() const noexcept = 0;
  [[nodiscard]] virtual bool stopping() const noexcept = 0;
  /// The connection is closed; lets go of it.
  virtual void forget(std::uint64_t id) = 0;
};

/// One accepted connection: calls in flight, their deadlines, and how it ends.
class connection final : public channel {
public:
  connection(stream_socket socket, strand where, std::weak_ptr<connection_owner> owner,
             std::uint64_t id, std::optional<peer_credentials> peer)
      : channel(std::move(socket), where), owner_(std::move(owner)), id_(id), peer_(peer),
        grace_(where) {}

  /// Answers the call of `serial` on `stream`, if it still waits.
  void answer(std::uint32_t stream, std::uint64_t serial, outcome<std::string> what);
  /// Closes as soon as nothing is in flight and everything is written.
  void finish();
  void shut();

protected:
  void on_frame(frame received) override;
  void on_oversize(const frame_header& header) override;
  void on_end(const std::string& why, bool writable) override;
  void on_flushed() override { shut_if_done(); }

private:
  struct in_flight {
    std::uint64_t serial = 0;
    std::size_t bytes = 0;
    asio::steady_timer deadline;
  };

  std::shared_ptr<connection> self() {
    return std::static_pointer_cast<connection>(shared_from_this());
  }
  outcome<void> check(const connection_owner& owner, const frame& received) const;
  outcome<void> dispatch(const connection_owner& owner, const frame& received);
  void run(const handler& handle, request call, std::uint32_t stream, std::uint64_t serial);
  time_point arm(in_flight& entry, std::uint32_t stream, std::chrono::nanoseconds timeout);
  void respond(std::uint32_t stream, const outcome<std::string>& what);
  void shut_if_done();

  std::weak_ptr<connection_owner> owner_;
  std::uint64_t id_;
  std::optional<peer_credentials> peer_;
  std::unordered_map<std::uint32_t, in_flight> in_flight_;
  std::size_t in_flight_bytes_ = 0;
  std::uint64_t last_serial_ = 0;
  bool finishing_ = false;
  asio::steady_timer grace_;
};

} // namespace troupe::ttrpc
