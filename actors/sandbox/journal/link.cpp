#include "actors/sandbox/journal/link.hpp"

#include "messages/vocabulary/unique_fd.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>

namespace troupe::journal {
namespace {

struct delete_request {
  nlmsghdr header{};
  ifinfomsg link{};
  rtattr name{};
  char text[IFNAMSIZ] = {};
};

struct acknowledgement {
  nlmsghdr header{};
  nlmsgerr error{};
};

delete_request request_for(const std::string& name) {
  delete_request request;
  const auto length = std::min<std::size_t>(name.size(), IFNAMSIZ - 1);
  request.header.nlmsg_type = RTM_DELLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  request.header.nlmsg_len = sizeof request;
  request.name.rta_type = IFLA_IFNAME;
  request.name.rta_len = sizeof request.name + sizeof request.text;
  std::memcpy(request.text, name.data(), length);
  return request;
}

outcome<void> ask_kernel(const std::string& name, time_point deadline) {
  const unique_fd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
  if (!socket)
    return fail_errno("tap: netlink socket", errno);
  const auto request = request_for(name);
  if (::send(socket.get(), &request, sizeof request, 0) < 0)
    return fail_errno("tap: send RTM_DELLINK", errno);
  const auto left = std::chrono::ceil<milliseconds>(deadline - monotonic_clock::now()).count();
  pollfd ready{socket.get(), POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(std::clamp<long>(left, 0, 60000))) <= 0)
    return fail(errc::deadline_exceeded, "tap: delete {}: no answer from the kernel", name);
  acknowledgement answer;
  if (::recv(socket.get(), &answer, sizeof answer, MSG_TRUNC) < static_cast<ssize_t>(sizeof answer))
    return fail(errc::host_io, "tap: delete {}: short answer from the kernel", name);
  const int error = -answer.error.error;
  if (error != 0 && error != ENODEV)
    return fail_errno("tap: delete " + name, error);
  return {};
}

outcome<void> delete_in(int netns, const std::string& name, time_point deadline) {
  if (::setns(netns, CLONE_NEWNET) != 0)
    return fail_errno("tap: setns", errno);
  return ask_kernel(name, deadline);
}

} // namespace

outcome<void> delete_link(const std::string& netns, const std::string& name, time_point deadline) {
  const unique_fd space{::open(netns.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!space && errno == ENOENT)
    return {};
  if (!space)
    return fail_errno("tap: open " + netns, errno);
  outcome<void> result;
  try {
    std::thread{[&] { result = delete_in(space.get(), name, deadline); }}.join();
  } catch (const std::system_error& error) {
    return fail_errno("tap: make a thread", error.code().value());
  }
  return result;
}

} // namespace troupe::journal
