#pragma once

#include "messages/task.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <memory>
#include <string>
#include <thread>

namespace troupe::ctl {

/// Our standard streams, joined to a process by fifos. Made in an existing private folder.
class streams {
public:
  /// Without a terminal, input is passed on only when it is no terminal: a shell's job must not eat
  /// what is typed for the shell.
  [[nodiscard]] static outcome<std::unique_ptr<streams>> open(const std::string& folder,
                                                              bool terminal);
  streams(const streams&) = delete;
  streams& operator=(const streams&) = delete;
  ~streams() { finish(); }

  /// What a command is told.
  [[nodiscard]] const stdio_paths& paths() const noexcept { return paths_; }

  /// Begins to read standard input. Once, after the process's side has opened its fifo: what is
  /// written into a fifo that nobody has open is lost with it.
  void start_input();

  /// Copies what the fifos hold and ends. The process's side must have written everything.
  void finish();

private:
  streams() = default;
  outcome<unique_fd> make_fifo(const std::string& path);

  stdio_paths paths_;
  unique_fd stop_;
  unique_fd in_;
  unique_fd out_;
  unique_fd err_;
  std::thread in_thread_;
  std::thread out_thread_;
  std::thread err_thread_;
};

} // namespace troupe::ctl
