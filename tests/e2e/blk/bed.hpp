#pragma once

#include "actors/devices/virtio/blk/disk.hpp"
#include "actors/devices/virtio/device.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::testing {

/// The host's side of the block suite, for any transport: makes disks and devices, reacts to what
/// the guest says on its console, and judges.
class bed {
public:
  struct counts {
    std::atomic<int> flushes = 0;
    std::atomic<int> discards = 0;
  };

  bed();
  ~bed();
  bed(const bed&) = delete;
  bed& operator=(const bed&) = delete;

  /// What the machine is to have; the first one is the raw disk.
  [[nodiscard]] std::vector<std::unique_ptr<virtio::device>> devices();
  /// New logic for the raw disk.
  [[nodiscard]] std::unique_ptr<virtio::device> new_raw_device() const;
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  /// One line of the guest's console. `replace` puts new logic in the raw disk's place.
  void heard(const std::string& line, const std::function<void()>& replace);
  void expect(bool holds, const char* what);
  /// After the devices were stopped. True when the guest finished and nothing failed.
  [[nodiscard]] bool judge();

private:
  [[nodiscard]] std::string path(const std::string& name) const;
  void make_image(const char* name, std::size_t size, char fill) const;
  [[nodiscard]] std::unique_ptr<blk::block_file> open(const char* name, int flags) const;
  [[nodiscard]] std::string bytes_of(const char* name) const;
  [[nodiscard]] bool is_hole(const char* name, std::size_t at) const;

  std::filesystem::path folder_;
  std::shared_ptr<counts> counts_ = std::make_shared<counts>();
  std::shared_ptr<blk::disk> raw_;
  std::string digest_;
  int replaced_ = 0;
  int failures_ = 0;
  bool done_ = false;
};

} // namespace troupe::testing
