#include "tools/bench/containerd.hpp"

#include "tools/bench/image.hpp"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fstream>

namespace troupe::bench {
namespace {

constexpr milliseconds start_patience{30'000};
constexpr milliseconds between_tries{20};
/// For what is done to a container that has failed already.
constexpr milliseconds removal_patience{20'000};

outcome<void> write_text(const std::string& path, const std::string& text) {
  std::ofstream file{path};
  if (!(file << text).flush())
    return fail(errc::host_io, "write {}", path);
  return {};
}

/// Without CRI and without the plugin that would fill /opt.
outcome<void> write_containerd_toml(const std::string& folder) {
  return write_text(folder + "/containerd.toml",
                    fmt::format("version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n"
                                "disabled_plugins = [\"io.containerd.grpc.v1.cri\", "
                                "\"io.containerd.internal.v1.opt\"]\n"
                                "[grpc]\n  address = \"{0}/containerd.sock\"\n",
                                folder));
}

/// As in the quickstart, but always on QEMU, as the bare machine that it is compared with.
outcome<void> write_troupe_toml(const std::string& folder, const std::string& build) {
  return write_text(folder + "/troupe.toml",
                    fmt::format("[runtime]\nhypervisor_name = \"qemu\"\n[hypervisor.qemu]\n"
                                "kernel = \"{0}/guest/vmlinux-product\"\n"
                                "initrd = \"{0}/bin/initrd.cpio\"\n"
                                "allow_emulation = true\ndefault_memory = 256\n"
                                "[agent.troupe]\nreconnect_timeout_ms = 120000\n",
                                build));
}

outcome<void> check_build(const std::string& build) {
  for (const char* file : {"bin/containerd-shim-troupe-v2", "libexec/troupe/shim-daemon",
                           "bin/initrd.cpio", "guest/vmlinux-product"})
    if (!std::filesystem::exists(build + "/" + file))
      return fail(errc::not_found, "{}/{}: has not been built", build, file);
  return {};
}

/// Whether a line of `ctr plugins ls` says that containerd can use overlayfs.
bool has_overlayfs(const std::string& plugins) {
  const auto at = plugins.find(" overlayfs ");
  const auto line = at == plugins.npos ? "" : plugins.substr(at, plugins.find('\n', at) - at);
  return line.ends_with("ok") || line.find(" ok ") != line.npos;
}

} // namespace

outcome<containerd> containerd::start(const world& where, const std::string& build,
                                      const stop_signal& stop) {
  TRY(check_build(build));
  TRY(write_containerd_toml(where.folder));
  TRY(write_troupe_toml(where.folder, build));
  containerd made{where.folder, TRY(find_program("ctr")), where.name, stop};
  TRY(made.launch(build));
  TRY(made.await_answer());
  TRY(made.import_image());
  return made;
}

outcome<void> containerd::launch(const std::string& build) {
  const auto log = folder_ + "/containerd.log";
  log_.reset(::open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
  if (!log_)
    return fail_errno("open " + log, errno);
  daemon_.push_back(TRY(program::start(
      {TRY(find_program("env")), fmt::format("PATH={}/bin:/usr/sbin:/usr/bin:/sbin:/bin", build),
       "TROUPE_CONF_FILE=" + configuration(), fmt::format("TROUPE_RUN_DIR={}/run", folder_),
       TRY(find_program("containerd")), "--config", folder_ + "/containerd.toml"},
      log_.get())));
  return {};
}

outcome<void> containerd::await_answer() {
  const auto end = monotonic_clock::now() + start_patience;
  for (;;) {
    const auto answer = ctr({"version"});
    if (answer)
      return {};
    if (answer.error().code == errc::cancelled || monotonic_clock::now() > end)
      return within("containerd", answer.error());
    TRY(stop_->rest(between_tries));
  }
}

outcome<void> containerd::import_image() {
  // overlayfs does not work on every file system; native, which copies, does.
  if (!has_overlayfs(TRY(ctr({"plugins", "ls"})).said))
    snapshotter_ = "native";
  const auto archive = folder_ + "/image.tar";
  TRY(write_image(archive));
  TRY(ctr({"image", "import", "--snapshotter", snapshotter_, archive}));
  return {};
}

outcome<finished> containerd::ctr(std::vector<std::string> words) const {
  const auto what = words.front();
  auto how = TRY(run(ctr_words(std::move(words)), *stop_, command_patience));
  if (how.status != 0)
    return fail(errc::peer_fault, "ctr {}: exit status {}: {}", what, how.status, how.said);
  return how;
}

std::vector<std::string> containerd::ctr_words(std::vector<std::string> words) const {
  const std::vector<std::string> head{ctr_, "--address", folder_ + "/containerd.sock",
                                      "--namespace", space_};
  words.insert(words.begin(), head.begin(), head.end());
  return words;
}

std::vector<std::string> containerd::run_words(const std::string& runtime) const {
  return {"run", "--snapshotter", snapshotter_, "--runtime", runtime};
}

outcome<finished> containerd::run_to_its_end(const std::string& runtime, const std::string& id,
                                             const std::string& command) const {
  auto words = run_words(runtime);
  words.insert(words.end(), {"--rm", image_name, id, command});
  auto how = ctr(std::move(words));
  if (!how && how.error().code != errc::cancelled)
    remove(id);
  return how;
}

outcome<void> containerd::start_idle(const std::string& runtime, const std::string& id) const {
  auto words = run_words(runtime);
  words.insert(words.end(), {"--detach", image_name, id, "sleep", "1000000"});
  TRY(ctr(std::move(words)));
  return {};
}

/// What cannot be removed ends with the world.
void containerd::remove(const std::string& id) const {
  (void)run(ctr_words({"task", "rm", "--force", id}), *stop_, removal_patience);
  (void)run(ctr_words({"container", "rm", id}), *stop_, removal_patience);
}

} // namespace troupe::bench
