// `troupectl check`: what this host can do, what is missing, and what would help.

#include "tools/ctl/check.hpp"

#include "actors/sandbox/hypervisor/probe/probe.hpp"
#include "actors/vcpu/machine_plan.hpp"
#include "config/load.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "tools/ctl/commands.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace troupe::ctl {
namespace {

constexpr long cgroup2_magic = 0x63677270;
constexpr long tmpfs_magic = 0x01021994; // what cgroup v1's hierarchies are mounted in

finding user() {
  finding out{"user", verdict::good, "root", ""};
  if (::geteuid() != 0)
    out = {"user", verdict::missing, fmt::format("uid {}", ::geteuid()), "run as root"};
  return out;
}

using hypervisor_choice = outcome<hypervisor::choice>;

finding chosen_hypervisor(const hypervisor_choice& chosen) {
  if (chosen)
    return {"hypervisor", verdict::good, fmt::format("{}: {}", chosen->hypervisor, chosen->why),
            ""};
  return {"hypervisor", verdict::missing, chosen.error().text,
          "a host with KVM, or allow_emulation = true in the configuration"};
}

finding kvm_device(const hypervisor::kvm_report& kvm) {
  finding out{"kvm", verdict::good, kvm.text, ""};
  if (!kvm.fast) {
    out.result = verdict::optional;
    out.help = kvm.present ? "nested virtualisation in hardware"
                           : "virtualisation in the firmware; modprobe kvm_intel or kvm_amd";
  }
  return out;
}

finding present(std::string what, const std::string& path, int mode, const std::string& help) {
  if (::access(path.c_str(), mode) == 0)
    return {std::move(what), verdict::good, path, ""};
  return {std::move(what), verdict::missing, fmt::format("{}: {}", path, std::strerror(errno)),
          help};
}

/// What the table of one hypervisor names.
std::vector<finding> files_of(std::string_view name, const config::hypervisor_config& table) {
  std::vector<finding> out;
  if (name == "qemu")
    out.push_back(present("qemu", table.path, X_OK, "package qemu-system-x86"));
  out.push_back(present(fmt::format("{} kernel", name), table.kernel, R_OK,
                        fmt::format("guest/kernel/build, or hypervisor.{}.kernel", name)));
  out.push_back(present(fmt::format("{} initrd", name), table.initrd, R_OK,
                        fmt::format("build the target initrd, or hypervisor.{}.initrd", name)));
  return out;
}

finding containerd() {
  for (const char* folder : {"/usr/bin/", "/usr/local/bin/", "/bin/"})
    if (const auto path = std::string{folder} + "containerd"; ::access(path.c_str(), X_OK) == 0)
      return {"containerd", verdict::good, path, ""};
  return {"containerd", verdict::optional, "not found; troupectl run needs none",
          "package containerd"};
}

/// A detached copy of a mount, as every container's root is made; it goes with the descriptor.
finding detached_mounts() {
  const unique_fd tree{
      static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | O_CLOEXEC))};
  if (!tree)
    return {"open_tree", verdict::missing, std::strerror(errno),
            "Linux 5.2 or later, and CAP_SYS_ADMIN"};
  return {"open_tree", verdict::good, "detached mounts can be made", ""};
}

finding made_mounts() {
  const unique_fd context{static_cast<int>(::syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC))};
  const bool created =
      context && ::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, 0, 0, 0) == 0;
  const unique_fd mount{
      created ? static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)) : -1};
  if (!mount)
    return {"fsmount", verdict::missing, std::strerror(errno),
            "Linux 5.2 or later, and CAP_SYS_ADMIN"};
  return {"fsmount", verdict::good, "file systems can be mounted by descriptor", ""};
}

finding cgroups() {
  struct statfs about {};
  if (::statfs("/sys/fs/cgroup", &about) != 0)
    return {"cgroup", verdict::optional, fmt::format("/sys/fs/cgroup: {}", std::strerror(errno)),
            "mount cgroup2 on /sys/fs/cgroup"};
  if (about.f_type == cgroup2_magic)
    return {"cgroup", verdict::good, "v2", ""};
  if (about.f_type == tmpfs_magic)
    return {"cgroup", verdict::good, "v1", ""};
  return {"cgroup", verdict::optional, "not mounted", "mount cgroup2 on /sys/fs/cgroup"};
}

const char* word(verdict which) {
  switch (which) {
  case verdict::good:
    return "ok";
  case verdict::optional:
    return "optional";
  case verdict::missing:
    return "missing";
  }
  return "";
}

} // namespace

std::vector<finding> look_at_host(const std::string& config) {
  std::vector<finding> out{user()};
  auto where = config::standard_search({});
  if (!config.empty()) {
    where.environment.clear();
    where.option = config;
  }
  const auto report = config::load(where);
  if (report)
    out.push_back({"configuration", verdict::good,
                   report->files.empty() ? "built-in defaults" : report->files.front(), ""});
  else
    out.push_back({"configuration", verdict::missing, report.error().text, "mend the file"});
  const auto values = report ? report->values : config::config{};
  const auto kvm = hypervisor::probe_kvm();
  out.push_back(kvm_device(kvm));
  const auto chosen = hypervisor::choose(hypervisor_wishes(values), kvm);
  out.push_back(chosen_hypervisor(chosen));
  for (auto& one : hypervisor_files(values, chosen ? chosen->hypervisor : ""))
    out.push_back(std::move(one));
  out.push_back(containerd());
  out.push_back(detached_mounts());
  out.push_back(made_mounts());
  out.push_back(cgroups());
  return out;
}

std::vector<finding> hypervisor_files(const config::config& values, std::string_view needed) {
  std::vector<finding> out;
  for (const char* name : {"builtin", "qemu"})
    for (auto& one : files_of(name, values.hypervisor(name))) {
      if (one.result == verdict::missing && name != needed)
        one.result = verdict::optional;
      out.push_back(std::move(one));
    }
  return out;
}

bool can_run(const std::vector<finding>& all) {
  return std::none_of(all.begin(), all.end(),
                      [](const finding& one) { return one.result == verdict::missing; });
}

std::string check_text(const std::vector<finding>& all, bool json) {
  if (json) {
    nlohmann::ordered_json out = {{"can_run", can_run(all)},
                                  {"findings", nlohmann::ordered_json::array()}};
    for (const auto& one : all)
      out["findings"].push_back({{"what", one.what},
                                 {"verdict", word(one.result)},
                                 {"text", one.text},
                                 {"help", one.help}});
    return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  }
  std::string out;
  for (const auto& one : all) {
    out += fmt::format("{:<9} {:<14} {}\n", word(one.result), one.what, one.text);
    if (!one.help.empty())
      out += fmt::format("{:<24} would help: {}\n", "", one.help);
  }
  return out + (can_run(all) ? "a pod can run here\n" : "no pod can run here\n");
}

int carry_out(const check_options& options) {
  const auto config =
      options.config.empty() ? std::string{} : std::filesystem::absolute(options.config).string();
  const auto all = look_at_host(config);
  std::fputs(check_text(all, options.json).c_str(), stdout);
  return can_run(all) ? 0 : 1;
}

} // namespace troupe::ctl
