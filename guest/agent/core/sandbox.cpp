#include "guest/agent/core/sandbox.hpp"

#include "guest/agent/boot/log_line.hpp"
#include "guest/agent/core/background.hpp"
#include "messages/vocabulary/ids.hpp"
#include "messages/vocabulary/log.hpp"

#include <fcntl.h>
#include <linux/random.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <cerrno>
#include <charconv>
#include <thread>

namespace troupe::guest {
namespace {

/// Linux takes no longer name.
constexpr std::size_t max_hostname = 64;
constexpr std::size_t max_dns_bytes = 65536;
/// To kill and clean up one container when the pod ends.
constexpr milliseconds destroy_deadline{5000};

struct pod_namespaces {
  unique_fd ipc;
  unique_fd uts;
};

outcome<unique_fd> own_namespace(const char* path) {
  unique_fd fd{::open(path, O_RDONLY | O_CLOEXEC)};
  if (!fd)
    return fail_errno(fmt::format("sandbox namespaces: {}", path), errno);
  return fd;
}

outcome<pod_namespaces> unshare_here(const std::string& hostname) {
  if (::unshare(CLONE_NEWIPC | CLONE_NEWUTS) != 0)
    return fail_errno("sandbox namespaces: unshare", errno);
  if (!hostname.empty() && ::sethostname(hostname.data(), hostname.size()) != 0)
    return fail_errno("hostname", errno);
  pod_namespaces made;
  made.ipc = TRY(own_namespace("/proc/thread-self/ns/ipc"));
  made.uts = TRY(own_namespace("/proc/thread-self/ns/uts"));
  return made;
}

/// A thread that exists only to be the first of new namespaces; its descriptors keep them alive.
outcome<pod_namespaces> make_namespaces(const std::string& hostname) {
  outcome<pod_namespaces> made;
  std::thread{[&made, &hostname] { made = unshare_here(hostname); }}.join();
  return made;
}

outcome<void> write_file(const std::string& path, std::string_view text) {
  const unique_fd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail_errno("write " + path, errno);
  return {};
}

/// Names for the guest itself; containers get their own file from the host.
outcome<void> set_dns(const std::string& dir, const grpc::CreateSandboxRequest& request) {
  std::string text;
  for (const auto& line : request.dns())
    text += line + '\n';
  if (text.size() > max_dns_bytes)
    return fail(errc::invalid_argument, "dns: more than {} bytes", max_dns_bytes);
  if (text.empty())
    return {};
  const auto file = dir + "/resolv.conf";
  TRY(write_file(file, text));
  constexpr const char* target = "/etc/resolv.conf";
  if (::getpid() == 1 && ::access(target, F_OK) == 0 &&
      ::mount(file.c_str(), target, nullptr, MS_BIND, nullptr) != 0)
    return fail_errno("dns: bind /etc/resolv.conf", errno);
  return {};
}

outcome<void> make_dir(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
    return fail_errno("mkdir " + path, errno);
  return {};
}

outcome<void> check_request(const grpc::CreateSandboxRequest& request) {
  TRY(check_id("sandbox_id", request.sandbox_id()));
  if (request.hostname().size() > max_hostname)
    return fail(errc::invalid_argument, "hostname: longer than {} bytes", max_hostname);
  if (request.kernel_modules_size() > 0)
    return fail(errc::unimplemented, "kernel_modules: this guest loads none");
  return {};
}

std::uint64_t memory_block_size() {
  const unique_fd fd{::open("/sys/devices/system/memory/block_size_bytes", O_RDONLY | O_CLOEXEC)};
  std::array<char, 32> text{};
  const auto got = fd ? ::read(fd.get(), text.data(), text.size()) : 0;
  std::uint64_t value = 0;
  if (got > 0)
    std::from_chars(text.data(), text.data() + got, value, 16);
  return value;
}

} // namespace

sandbox::sandbox(asio::io_context& io, agent_options options, std::function<void()> ended)
    : io_(io), options_(std::move(options)), ended_(std::move(ended)), reaper_(io), oom_(io) {}

void sandbox::create_sandbox(const grpc::CreateSandboxRequest& request, answer<nothing> done) {
  if (!id_.empty())
    return done(fail(errc::already_exists, "sandbox_id: the sandbox {} exists", id_));
  if (auto checked = check_request(request); !checked)
    return done(tl::unexpected(std::move(checked).error()));
  id_ = request.sandbox_id();
  in_background<outcome<pod_namespaces>>(
      [this, request]() -> outcome<pod_namespaces> {
        const auto dir = options_.work_dir + "/sandbox";
        TRY(make_dir(options_.work_dir));
        TRY(make_dir(dir));
        auto made = TRY(make_namespaces(request.hostname()));
        TRY(storages_.acquire(request.storages()));
        TRY(set_dns(dir, request));
        return made;
      },
      [this, done = std::move(done)](outcome<pod_namespaces> made) {
        if (!made) {
          id_.clear();
          return done(tl::unexpected(std::move(made).error()));
        }
        ipc_ = std::move(made->ipc);
        uts_ = std::move(made->uts);
        log::info("sandbox", "{} created", id_);
        done(nothing{});
      });
}

void sandbox::destroy_sandbox(const grpc::DestroySandboxRequest&, answer<nothing> done) {
  if (ending_)
    return done(fail(errc::failed_precondition, "sandbox: ends already"));
  ending_ = true;
  oom_.stop();
  for (const auto& [id, one] : containers_) {
    *one->cancelled = true;
    for (const auto& [exec, process] : one->processes())
      (void)process->signal(SIGKILL);
  }
  auto groups = std::make_shared<std::vector<std::shared_ptr<cgroup>>>();
  for (const auto& [id, one] : containers_)
    if (one->group)
      groups->push_back(one->group);
  in_background<outcome<nothing>>(
      [this, groups]() -> outcome<nothing> {
        for (const auto& group : *groups)
          (void)group->kill();
        for (const auto& group : *groups)
          if (auto removed = group->remove(destroy_deadline); !removed)
            log::warn("sandbox", "{}", removed.error().text);
        storages_.release_all();
        return nothing{};
      },
      [this, done = std::move(done)](outcome<nothing> result) {
        for (const auto& [id, one] : containers_)
          for (const auto& [exec, process] : one->processes())
            process->close_streams();
        containers_.clear();
        log::info("sandbox", "{} destroyed", id_);
        done(std::move(result));
        ended_();
      });
}

void sandbox::guest_details(const grpc::GuestDetailsRequest& request,
                            answer<grpc::GuestDetailsResponse> done) {
  grpc::GuestDetailsResponse reply;
  if (request.mem_block_size())
    reply.set_mem_block_size_bytes(memory_block_size());
  if (request.mem_hotplug_probe())
    reply.set_support_mem_hotplug_probe(::access("/sys/devices/system/memory/probe", F_OK) == 0);
  auto& agent = *reply.mutable_agent_details();
  agent.set_version(std::string{agent_version});
  agent.set_init_daemon(::getpid() == 1);
  agent.set_supports_seccomp(true);
  for (const auto& driver : storage_drivers())
    agent.add_storage_handlers(driver);
  agent.add_extra_features("troupe.keep-exit");
  agent.add_extra_features("troupe.read-offset");
  done(std::move(reply));
}

void sandbox::oom_event(const grpc::GetOOMEventRequest&, answer<grpc::OOMEvent> done) {
  oom_.next([done = std::move(done)](outcome<std::string> container) {
    done(std::move(container).map([](std::string id) {
      grpc::OOMEvent event;
      event.set_container_id(std::move(id));
      return event;
    }));
  });
}

void sandbox::set_date_time(const grpc::SetGuestDateTimeRequest& request, answer<nothing> done) {
  if (request.usec() < 0 || request.usec() >= 1'000'000 || request.sec() < 0)
    return done(
        fail(errc::invalid_argument, "Sec, Usec: {}.{} is no time", request.sec(), request.usec()));
  const timeval now{request.sec(), request.usec()};
  if (::settimeofday(&now, nullptr) != 0)
    return done(fail_errno("set the clock", errno));
  done(nothing{});
}

void sandbox::reseed(const grpc::ReseedRandomDevRequest& request, answer<nothing> done) {
  const unique_fd random{::open("/dev/random", O_WRONLY | O_CLOEXEC)};
  const auto& data = request.data();
  const int bits = static_cast<int>(data.size() * 8);
  if (!random || ::write(random.get(), data.data(), data.size()) < 0 ||
      ::ioctl(random.get(), RNDADDTOENTCNT, &bits) != 0 ||
      ::ioctl(random.get(), RNDRESEEDCRNG) != 0)
    return done(fail_errno("reseed /dev/random", errno));
  done(nothing{});
}

outcome<std::shared_ptr<container>> sandbox::find(const std::string& id) const {
  const auto found = containers_.find(id);
  if (found == containers_.end())
    return fail(errc::not_found, "container_id: no container '{}'", id.substr(0, max_id_length));
  return found->second;
}

outcome<std::shared_ptr<process>> sandbox::find_process(const std::string& id,
                                                        const std::string& exec) const {
  const auto in = TRY(find(id));
  return in->find(exec);
}

} // namespace troupe::guest
