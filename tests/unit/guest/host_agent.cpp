#define CATCH_CONFIG_EXTERNAL_INTERFACES // the listener below
#include "tests/unit/guest/host_agent.hpp"
#include "tests/support/skip.hpp"

#include <asio/local/stream_protocol.hpp>
#include <catch2/catch.hpp>

#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace troupe::guest::test {
namespace {

namespace fs = std::filesystem;

/// The agent's parent directory in the hierarchy; a hybrid host mounts cgroup v2 one level down.
fs::path cgroup_mount() {
  for (const auto* place : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
    if (fs::exists(fs::path{place} / "cgroup.procs") &&
        fs::exists(fs::path{place} / "cgroup.controllers"))
      return place;
  return {};
}

void make_busybox_root(const fs::path& root) {
  for (const auto* name : {"bin", "etc", "tmp", "root", "proc", "sys", "dev"})
    fs::create_directories(root / name);
  fs::copy_file("/bin/busybox", root / "bin/busybox", fs::copy_options::overwrite_existing);
  for (const auto* name :
       {"sh",   "cat",   "echo", "sleep", "id",     "tty",      "stty",  "ls",
        "head", "mknod", "pwd",  "mkdir", "chroot", "ps",       "kill",  "hostname",
        "env",  "dd",    "wc",   "test",  "grep",   "readlink", "umount"})
    fs::create_symlink("busybox", root / "bin" / name);
  std::ofstream{root / "etc/passwd"}
      << "root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/tmp:/bin/sh\n";
}

void add_mount(grpc::Spec& spec, const char* target, const char* type,
               std::vector<std::string> options) {
  auto& mount = *spec.add_mounts();
  mount.set_destination(target);
  mount.set_type(type);
  mount.set_source(type);
  for (auto& option : options)
    mount.add_options(std::move(option));
}

std::string text_of(const fs::path& file) {
  std::ifstream in{file};
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

struct skip_where_impossible : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testRunStarting(const Catch::TestRunInfo&) override {
    const auto missing = what_is_missing();
    testing::need(missing.empty(), missing);
  }
};
CATCH_REGISTER_LISTENER(skip_where_impossible)

} // namespace

std::string what_is_missing() {
  if (::geteuid() != 0)
    return "root";
  if (!fs::exists("/bin/busybox"))
    return "busybox (package busybox-static)";
  if (cgroup_mount().empty())
    return "a cgroup v2 mount";
  return fs::exists(TROUPE_AGENT_BINARY) ? "" : TROUPE_AGENT_BINARY;
}

host_agent::host_agent() {
  std::string name = "/tmp/troupe-agent-test.XXXXXX";
  dir_ = ::mkdtemp(name.data());
  cgroup_ = cgroup_mount() / dir_.filename();
  fs::create_directory(cgroup_);
  make_busybox_root(dir_ / "busybox");
  spawn();
  thread_ = std::thread{[this] { io_.run(); }};
  connect();
}

void host_agent::spawn() {
  const auto address = "unix://" + (dir_ / "agent.sock").string();
  const auto work = (dir_ / "work").string();
  const auto log = (dir_ / "agent.log").string();
  const auto group = cgroup_.string();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(::creat(log.c_str(), 0644), STDERR_FILENO);
    ::execl(TROUPE_AGENT_BINARY, "troupe-agent", "--server-addr", address.c_str(), "--work-dir",
            work.c_str(), "--cgroup-root", group.c_str(), "--lenient-cgroups", "--log-level",
            "trace", nullptr);
    ::_exit(127);
  }
}

void host_agent::connect() {
  const auto end = monotonic_clock::now() + seconds{10};
  asio::local::stream_protocol::socket socket{io_};
  asio::error_code error;
  do {
    std::this_thread::sleep_for(milliseconds{5});
    socket.connect((dir_ / "agent.sock").string(), error);
  } while (error && monotonic_clock::now() < end);
  if (error)
    throw std::runtime_error("the agent does not listen: " + text_of(dir_ / "agent.log"));
  ttrpc::client_options options;
  options.peer = "agent";
  client_ = std::make_unique<ttrpc::client>(ttrpc::stream_socket{std::move(socket)}, options);
}

host_agent::~host_agent() {
  (void)call("DestroySandbox", grpc::DestroySandboxRequest{});
  int status = 0;
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, &status, 0);
  client_.reset();
  work_.reset();
  io_.stop();
  thread_.join();
  fs::remove(cgroup_);
  fs::remove_all(dir_);
}

std::future<outcome<std::string>> host_agent::start(const std::string& method,
                                                    const std::string& payload) const {
  const auto promise = std::make_shared<std::promise<outcome<std::string>>>();
  ttrpc::call_request request;
  request.service = "grpc.AgentService";
  request.method = method;
  request.payload = payload;
  client_->call(std::move(request),
                [promise](outcome<std::string> answer) { promise->set_value(std::move(answer)); });
  return promise->get_future();
}

std::filesystem::path host_agent::rootfs(const std::string& id) const {
  const auto root = dir_ / id;
  if (!fs::exists(root))
    make_busybox_root(root);
  return root;
}

grpc::CreateContainerRequest host_agent::container(const std::string& id,
                                                   const std::string& script) const {
  grpc::CreateContainerRequest request;
  request.set_container_id(id);
  auto& spec = *request.mutable_oci();
  auto& process = *spec.mutable_process();
  for (const auto* word : {"sh", "-c"})
    process.add_args(word);
  process.add_args(script);
  process.add_env("PATH=/bin");
  for (auto* set : {process.mutable_capabilities()->mutable_bounding(),
                    process.mutable_capabilities()->mutable_effective(),
                    process.mutable_capabilities()->mutable_permitted()})
    for (const auto* name :
         {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_MKNOD", "CAP_SETUID"})
      *set->Add() = name;
  spec.mutable_root()->set_path((dir_ / "busybox").string());
  add_mount(spec, "/proc", "proc", {"nosuid", "noexec", "nodev"});
  add_mount(spec, "/dev", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"});
  add_mount(spec, "/dev/pts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"});
  add_mount(spec, "/sys", "sysfs", {"nosuid", "noexec", "nodev", "ro"});
  for (const auto* type : {"pid", "ipc", "uts", "mount", "network"})
    spec.mutable_linux()->add_namespaces()->set_type(type);
  spec.mutable_linux()->set_cgroups_path("/pod/" + id);
  return request;
}

outcome<std::string> host_agent::run(const grpc::CreateContainerRequest& request) const {
  TRY(call("CreateContainer", request));
  grpc::StartContainerRequest start;
  start.set_container_id(request.container_id());
  return call("StartContainer", start);
}

std::string host_agent::drain(const std::string& id, const std::string& exec,
                              const std::string& method) const {
  grpc::ReadStreamRequest request;
  request.set_container_id(id);
  request.set_exec_id(exec);
  request.set_len(4096);
  std::string all;
  for (;;) {
    const auto part = ask<grpc::ReadStreamResponse>(method, request).data();
    if (part.empty())
      return all;
    all += part;
  }
}

int host_agent::wait(const std::string& id, const std::string& exec, bool keep) const {
  grpc::WaitProcessRequest request;
  request.set_container_id(id);
  request.set_exec_id(exec);
  request.set_keep(keep);
  return ask<grpc::WaitProcessResponse>("WaitProcess", request).status();
}

outcome<std::string> host_agent::signal(const std::string& id, const std::string& exec,
                                        int number) const {
  grpc::SignalProcessRequest request;
  request.set_container_id(id);
  request.set_exec_id(exec);
  request.set_signal(static_cast<std::uint32_t>(number));
  return call("SignalProcess", request);
}

outcome<std::string> host_agent::remove(const std::string& id) const {
  grpc::RemoveContainerRequest request;
  request.set_container_id(id);
  request.set_timeout(5);
  return call("RemoveContainer", request);
}

std::vector<std::string> host_agent::leftovers() const {
  std::vector<std::string> found;
  std::istringstream mounts{text_of("/proc/" + std::to_string(pid_) + "/mountinfo")};
  for (std::string line; std::getline(mounts, line);)
    if (line.find(dir_.string()) != std::string::npos)
      found.push_back("mount " + line);
  for (const auto& entry : fs::directory_iterator{cgroup_})
    if (entry.is_directory())
      found.push_back("cgroup " + entry.path().string());
  const auto children = "/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_);
  if (const auto text = text_of(children + "/children"); !text.empty())
    found.push_back("children " + text);
  return found;
}

host_agent& shared_agent() {
  static host_agent agent;
  return agent;
}

} // namespace troupe::guest::test
