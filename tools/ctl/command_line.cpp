#include "tools/ctl/command_line.hpp"

#include "config/config.hpp"
#include "messages/vocabulary/version.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <csignal>
#include <cstring>
#include <sstream>

namespace troupe::ctl {
namespace {

CLI::Option* add_json(CLI::App& app, bool& json) {
  return app.add_flag("--json", json, "Print JSON");
}

void add_process(CLI::App& app, std::vector<std::string>& env, std::string& cwd, bool& terminal) {
  app.add_option("-e,--env", env, "KEY=VALUE of the environment; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--cwd", cwd, "Working folder, absolute");
  app.add_flag("-t,--tty", terminal, "With a terminal");
}

/// All that CLI11 fills in; the sub-command that was given says which part counts.
struct words_of_all {
  run_options run;
  exec_options exec;
  kill_options kill;
  check_options check;
  ps_options ps;
  sweep_options sweep;
};

void add_run(CLI::App& app, run_options& to) {
  auto* sub = app.add_subcommand("run", "Run a command in a virtual machine of its own");
  auto* rootfs = sub->add_option("--rootfs", to.rootfs, "Folder that becomes the root; written to");
  sub->add_option("--image", to.image, "Tar: an OCI image layout, or a root file system")
      ->excludes(rootfs);
  sub->add_option("--config", to.config, "Configuration file instead of the installed one");
  sub->add_option("--hypervisor", to.hypervisor,
                  "Hypervisor instead of the configuration's: auto, qemu or builtin");
  sub->add_option("--id", to.id, "Name of pod and container");
  sub->add_flag("--debug", to.debug, "Say what happens, on standard error");
  add_process(*sub, to.env, to.cwd, to.terminal);
  add_json(*sub, to.json);
  sub->footer("The command follows after --. The exit status is the command's; 125 when it could "
              "not be run.");
}

void add_exec(CLI::App& app, exec_options& to) {
  auto* sub = app.add_subcommand("exec", "Run a further command in a pod");
  sub->add_option("pod", to.pod, "The pod, as ps prints it")->required();
  sub->add_option("--container", to.container, "Container within the pod");
  add_process(*sub, to.env, to.cwd, to.terminal);
  add_json(*sub, to.json);
  sub->footer("The command follows after --.");
}

void add_kill(CLI::App& app, kill_options& to) {
  auto* sub = app.add_subcommand("kill", "Send a signal to a pod's first process");
  sub->add_option("pod", to.pod, "The pod, as ps prints it")->required();
  sub->add_option("--container", to.container, "Container within the pod");
  sub->add_option("-s,--signal", to.signal, "Name or number")->capture_default_str();
  sub->add_flag("--all", to.all, "Every process of the container");
  add_json(*sub, to.json);
}

void add_rest(CLI::App& app, words_of_all& to) {
  auto* check = app.add_subcommand("check", "Say what this host can do and what is missing");
  check->add_option("--config", to.check.config, "Configuration file instead of the installed one");
  add_json(*check, to.check.json);
  add_json(*app.add_subcommand("ps", "List the pods of this host"), to.ps.json);
  add_json(*app.add_subcommand("sweep", "Undo what dead pods left behind"), to.sweep.json);
}

bool is_hypervisor(const std::string& word) {
  const auto& names = config::hypervisor_names;
  return word.empty() || std::find(names.begin(), names.end(), word) != names.end();
}

/// What CLI11 cannot know.
std::string complaint(const words_of_all& all, const std::string& sub, bool has_command) {
  if (sub == "run" && all.run.rootfs.empty() && all.run.image.empty())
    return "run: --rootfs or --image is needed";
  if (sub == "run" && !all.run.rootfs.empty() && !has_command)
    return "run: -- COMMAND is needed with --rootfs";
  if (sub == "run" && !is_hypervisor(all.run.hypervisor))
    return "run: --hypervisor: \"" + all.run.hypervisor + "\" is not auto, qemu or builtin";
  if (sub == "exec" && !has_command)
    return "exec: -- COMMAND is needed";
  if (sub != "run" && sub != "exec" && has_command)
    return sub + ": takes no command";
  if (sub == "kill" && !parse_signal(all.kill.signal))
    return "kill: --signal: no signal " + all.kill.signal;
  for (const auto* env : {&all.run.env, &all.exec.env})
    for (const auto& entry : *env)
      if (entry.find('=') == std::string::npos || entry.front() == '=')
        return "--env: \"" + entry + "\" is not KEY=VALUE";
  for (const auto* cwd : {&all.run.cwd, &all.exec.cwd})
    if (!cwd->empty() && cwd->front() != '/')
      return "--cwd: \"" + *cwd + "\" is not absolute";
  return {};
}

order choose(words_of_all all, const std::string& sub) {
  if (sub == "run")
    return all.run;
  if (sub == "exec")
    return all.exec;
  if (sub == "kill")
    return all.kill;
  if (sub == "check")
    return all.check;
  if (sub == "ps")
    return all.ps;
  return all.sweep;
}

} // namespace

std::optional<std::uint32_t> parse_signal(const std::string& word) {
  constexpr int highest_signal = 64;
  int number = 0;
  const auto* end = word.data() + word.size();
  if (const auto read = std::from_chars(word.data(), end, number);
      read.ec == std::errc{} && read.ptr == end)
    return number >= 1 && number <= highest_signal
               ? std::optional{static_cast<std::uint32_t>(number)}
               : std::nullopt;
  std::string upper = word;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (upper.starts_with("SIG"))
    upper.erase(0, 3);
  for (int i = 1; i < SIGRTMIN; ++i)
    if (const char* name = ::sigabbrev_np(i); name != nullptr && upper == name)
      return static_cast<std::uint32_t>(i);
  return std::nullopt;
}

parsed parse_words(std::span<const char* const> words) {
  const auto mark = std::find_if(words.begin(), words.end(),
                                 [](const char* word) { return std::strcmp(word, "--") == 0; });
  std::vector<std::string> ours{words.begin(), mark};
  std::vector<std::string> command;
  if (mark != words.end())
    command.assign(mark + 1, words.end());

  words_of_all all;
  CLI::App app{"Pods in small virtual machines, without containerd", "troupectl"};
  app.require_subcommand(1);
  app.set_version_flag("--version,-v", std::string{"troupectl "} + troupe_version);
  add_run(app, all.run);
  add_exec(app, all.exec);
  add_kill(app, all.kill);
  add_rest(app, all);
  constexpr int usage_status = 2;
  try {
    std::reverse(ours.begin(), ours.end());
    app.parse(ours);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    const int status = app.exit(error, out, out);
    return {{}, out.str(), status == 0 ? 0 : usage_status};
  }
  const auto sub = app.get_subcommands().front()->get_name();
  if (const auto text = complaint(all, sub, !command.empty()); !text.empty())
    return {{}, text + "\n", usage_status};
  all.run.command = command;
  all.exec.command = std::move(command);
  return {choose(std::move(all), sub), {}, 0};
}

} // namespace troupe::ctl
