#pragma once

#include "tools/bench/program.hpp"
#include "tools/bench/world.hpp"

namespace troupe::bench {

inline constexpr const char* our_runtime = "io.containerd.troupe.v2";
inline constexpr const char* runc_runtime = "io.containerd.runc.v2";
/// For one command: a container under emulation on busy cores.
inline constexpr milliseconds command_patience{120'000};

/// A containerd of our own, with the shim of one build in its PATH and one image.
class containerd {
public:
  /// @param build the build folder: bin, libexec, guest. not_found: what is missing of it;
  /// cancelled; deadline_exceeded; host_io.
  [[nodiscard]] static outcome<containerd> start(const world& where, const std::string& build,
                                                 const stop_signal& stop);

  /// The shim's configuration file.
  [[nodiscard]] std::string configuration() const { return folder_ + "/troupe.toml"; }

  /// Runs `ctr` to its end. peer_fault when its exit status is not 0, with what it said.
  [[nodiscard]] outcome<finished> ctr(std::vector<std::string> words) const;
  /// `ctr run --rm` of the image. A container that did not end well is taken away.
  [[nodiscard]] outcome<finished> run_to_its_end(const std::string& runtime, const std::string& id,
                                                 const std::string& command) const;
  /// A container that sleeps until remove().
  [[nodiscard]] outcome<void> start_idle(const std::string& runtime, const std::string& id) const;
  void remove(const std::string& id) const;

private:
  containerd(std::string folder, std::string ctr, std::string space, const stop_signal& stop)
      : folder_(std::move(folder)), ctr_(std::move(ctr)), space_(std::move(space)), stop_(&stop) {}
  outcome<void> launch(const std::string& build);
  outcome<void> await_answer();
  outcome<void> import_image();
  [[nodiscard]] std::vector<std::string> ctr_words(std::vector<std::string> words) const;
  [[nodiscard]] std::vector<std::string> run_words(const std::string& runtime) const;

  std::string folder_;
  std::string ctr_;
  std::string space_;
  std::string snapshotter_ = "overlayfs";
  const stop_signal* stop_;
  unique_fd log_;
  std::vector<program> daemon_; ///< empty until launched
};

} // namespace troupe::bench
