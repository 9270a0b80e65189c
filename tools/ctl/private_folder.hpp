#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <string>
#include <utility>

namespace troupe::ctl {

/// A temporary folder of mode 0700, removed with all in it.
class private_folder {
public:
  /// Below TMPDIR or /tmp. host_io.
  [[nodiscard]] static outcome<private_folder> make();
  private_folder(private_folder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  private_folder& operator=(private_folder&&) = delete;
  ~private_folder();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
  explicit private_folder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

} // namespace troupe::ctl
