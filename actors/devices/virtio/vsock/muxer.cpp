#include "actors/devices/virtio/vsock/muxer.hpp"

namespace troupe::vsock {

muxer::muxer(std::uint64_t guest_cid, dialer& out, muxer_ledger& kept, std::function<void()> wake)
    : guest_cid_(guest_cid), out_(out), kept_(kept), wake_(std::move(wake)) {
  for (const auto pair : std::exchange(kept_.live, {}))
    queue_reset(pair);
}

void muxer::from_guest(const header& packet, std::span<const iovec> payload) {
  if (packet.source_cid != guest_cid_ || packet.target_cid != host_cid) {
    ++refused_;
    return;
  }
  if (packet.type != type_stream)
    return refuse(packet);
  const port_pair pair{packet.target_port, packet.source_port};
  const auto it = connections_.find(pair);
  if (it == connections_.end())
    return stranger(packet, pair);
  it->second.note_credit(packet);
  dispatch(it->second, packet, pair, payload);
  settle(pair);
}

void muxer::refuse(const header& packet) {
  ++refused_;
  const port_pair pair{packet.target_port, packet.source_port};
  erase(pair);
  if (packet.op != operation::reset)
    queue_reset(pair, packet.type);
}

void muxer::stranger(const header& packet, port_pair pair) {
  if (packet.op == operation::reset)
    return;
  if (packet.op != operation::request || connections_.size() >= connections_max)
    return refuse(packet);
  auto host = out_.dial(pair.host);
  if (!host)
    return refuse(packet);
  auto& it = insert(pair, *std::move(host), connection::phase::established);
  it.note_credit(packet);
  it.owed.response = true;
  it.established();
  settle(pair);
}

void muxer::dispatch(connection& it, const header& packet, port_pair pair,
                     std::span<const iovec> payload) {
  const auto draining = it.state() == connection::phase::draining;
  switch (packet.op) {
  case operation::reset:
    if (!draining)
      erase(pair);
    return;
  case operation::response:
    return guest_answered(it, pair);
  case operation::shutdown:
    if (draining)
      return;
    it.guest_shutdown(packet.flags);
    if (it.state() == connection::phase::draining)
      queue_reset(pair);
    return;
  case operation::data:
    if (it.state() == connection::phase::requested || !it.from_guest(payload, packet.length))
      refuse(packet);
    return;
  case operation::credit_update:
    return;
  case operation::credit_request:
    it.owed.credit_update = true;
    return;
  default:
    return refuse(packet);
  }
}

void muxer::guest_answered(connection& it, port_pair pair) {
  auto text = fmt::format("OK {}\n", pair.host);
  const iovec line{text.data(), text.size()};
  if (it.state() != connection::phase::requested ||
      it.host().write({&line, 1}).bytes != text.size())
    return kill(pair);
  it.established();
}

connection& muxer::insert(port_pair pair, std::unique_ptr<stream> host, connection::phase start) {
  host->on_ready([this, pair](readiness what) { ready(pair, what); });
  kept_.live.insert(pair);
  return connections_.try_emplace(pair, std::move(host), start).first->second;
}

std::optional<port_pair> muxer::free_pair(std::uint32_t guest_port) {
  // One more port than there can be connections: one of them is free.
  for (std::size_t i = 0; i <= connections_max; ++i) {
    const port_pair pair{kept_.next_host_port, guest_port};
    kept_.next_host_port = pair.host == last_host_port ? first_host_port : kept_.next_host_port + 1;
    if (!connections_.contains(pair))
      return pair;
  }
  return std::nullopt;
}

outcome<port_pair> muxer::open(std::uint32_t guest_port, std::unique_ptr<stream> host,
                               time_point now) {
  const auto pair = connections_.size() < connections_max ? free_pair(guest_port) : std::nullopt;
  if (!pair)
    return fail(errc::resource_exhausted, "vsock: {} connections are open", connections_.size());
  auto& it = insert(*pair, std::move(host), connection::phase::requested);
  it.owed.request = true;
  set_deadline(it, *pair, now);
  it.host().watch(false, false); // Only its hang-up is of interest until the guest answers.
  settle(*pair);
  wake_();
  return *pair;
}

void muxer::ready(port_pair pair, readiness what) {
  const auto it = connections_.find(pair);
  if (it == connections_.end())
    return;
  it->second.host_ready(what);
  if (what.hung_up && it->second.state() == connection::phase::requested)
    kill(pair);
  settle(pair);
  wake_();
}

// After anything happened to a connection: it goes, or gets in line.
void muxer::settle(port_pair pair) {
  const auto it = connections_.find(pair);
  if (it == connections_.end())
    return;
  if (it->second.finished())
    return erase(pair);
  if (it->second.in_line || !it->second.wants_packet())
    return;
  it->second.in_line = true;
  line_.push_back(pair);
}

void muxer::kill(port_pair pair) {
  erase(pair);
  queue_reset(pair);
}

void muxer::erase(port_pair pair) {
  connections_.erase(pair);
  kept_.live.erase(pair);
}

void muxer::queue_reset(port_pair pair, std::uint16_t type) {
  auto packet = blank(pair, operation::reset);
  packet.type = type;
  kept_.resets.push_back(packet);
}

void muxer::set_deadline(connection& it, port_pair pair, time_point now) {
  it.deadline = now + answer_limit;
  due_.emplace_back(*it.deadline, pair);
}

void muxer::expire(time_point now) {
  while (!due_.empty() && due_.front().first <= now) {
    const auto pair = due_.front().second;
    due_.pop_front();
    const auto it = connections_.find(pair);
    if (it != connections_.end() && it->second.deadline && *it->second.deadline <= now)
      kill(pair);
  }
}

std::optional<time_point> muxer::next_deadline() const noexcept {
  return due_.empty() ? std::nullopt : std::optional{due_.front().first};
}

std::optional<header> muxer::to_guest(std::span<const iovec> room, time_point now) {
  for (auto turns = line_.size() + 1; turns > 0; --turns) {
    if (!kept_.resets.empty()) {
      const auto packet = kept_.resets.front();
      kept_.resets.pop_front();
      return packet;
    }
    if (line_.empty())
      return std::nullopt;
    const auto pair = line_.front();
    line_.pop_front();
    const auto it = connections_.find(pair);
    if (it == connections_.end())
      continue;
    it->second.in_line = false;
    const auto packet = packet_of(it->second, pair, room, now);
    settle(pair);
    if (packet)
      return packet;
  }
  return std::nullopt;
}

std::optional<header> muxer::packet_of(connection& it, port_pair pair, std::span<const iovec> room,
                                       time_point now) {
  if (!it.wants_packet())
    return std::nullopt;
  auto packet = blank(pair, operation::invalid);
  if (std::exchange(it.owed.request, false)) {
    packet.op = operation::request;
  } else if (std::exchange(it.owed.response, false)) {
    packet.op = operation::response;
  } else if (it.state() == connection::phase::established && it.can_read() && it.credit() > 0) {
    const auto result = it.to_guest(room);
    if (result.how == transfer::end::broken)
      kill(pair);
    if (result.how != transfer::end::moved)
      return std::nullopt; // Whatever it owes now, settle puts it in line again.
    packet.op = operation::data;
    packet.length = static_cast<std::uint32_t>(result.bytes);
  } else if (std::exchange(it.owed.shutdown, false)) {
    packet.op = operation::shutdown;
    packet.flags = it.shutdown_flags();
    if (packet.flags == shutdown_both) {
      it.set_state(connection::phase::closing);
      set_deadline(it, pair, now);
    }
  } else if (std::exchange(it.owed.credit_request, false)) {
    packet.op = operation::credit_request;
  } else {
    packet.op = operation::credit_update;
  }
  it.stamp(packet);
  return packet;
}

header muxer::blank(port_pair pair, operation op) const noexcept {
  header packet;
  packet.source_cid = host_cid;
  packet.target_cid = guest_cid_;
  packet.source_port = pair.host;
  packet.target_port = pair.guest;
  packet.op = op;
  return packet;
}

} // namespace troupe::vsock
