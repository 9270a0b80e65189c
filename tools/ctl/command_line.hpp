#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

/// troupectl: pods without containerd, and what there is to see and to clean up on a host.
namespace troupe::ctl {

struct run_options {
  std::string rootfs;     ///< a folder; the container writes into it
  std::string image;      ///< a tar; either this or rootfs
  std::string config;     ///< empty = the search list
  std::string hypervisor; ///< one of config::hypervisor_names; empty = as the configuration says
  std::string id;         ///< empty = one is made up
  std::vector<std::string> env;
  std::string cwd;
  std::vector<std::string> command;
  bool terminal = false;
  bool json = false;
  bool debug = false;
};

struct exec_options {
  std::string pod;
  std::string container; ///< empty = the pod's first
  std::vector<std::string> env;
  std::string cwd;
  std::vector<std::string> command;
  bool terminal = false;
  bool json = false;
};

struct kill_options {
  std::string pod;
  std::string container; ///< empty = the pod's first
  std::string signal = "TERM";
  bool all = false;
  bool json = false;
};

struct check_options {
  std::string config;
  bool json = false;
};

struct ps_options {
  bool json = false;
};

struct sweep_options {
  bool json = false;
};

using order =
    std::variant<run_options, exec_options, kill_options, check_options, ps_options, sweep_options>;

/// What the words of the command line came to: an order, or a text to print and a status to exit
/// with (0 for help on standard output, else standard error).
struct parsed {
  std::optional<order> what;
  std::string text;
  int status = 0;
};

/// @param words without argv[0]. What follows the first `--` is the workload's, whatever it is.
[[nodiscard]] parsed parse_words(std::span<const char* const> words);

/// "TERM", "SIGTERM", "term" or "15"; nothing for other words.
[[nodiscard]] std::optional<std::uint32_t> parse_signal(const std::string& word);

} // namespace troupe::ctl
