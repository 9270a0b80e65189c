#pragma once

#include "actors/devices/vhost_user/session.hpp"
#include "tests/support/guest.hpp"
#include "tests/support/qemu_process.hpp"
#include "tests/support/scratch.hpp"

namespace troupe::testing {

/// A guest on an emulated q35 machine, its devices behind vhost-user.
class qemu_guest final : public guest {
public:
  explicit qemu_guest(std::uint32_t processors);
  ~qemu_guest() override;

  void add(std::unique_ptr<virtio::device> device, devices::worker& loop) override;
  /// The file system of another program, which listens on `socket` already.
  void add_file_system(const std::string& socket);
  void replace_device(std::size_t index, std::unique_ptr<virtio::device> next) override;
  void boot(const std::string& initrd, const std::string& words) override;

  [[nodiscard]] std::optional<std::string> next_line(time_point until) override {
    return machine_->next_line(until);
  }
  [[nodiscard]] bool alive() override { return !machine_->wait(milliseconds{0}); }
  void check_end() override;
  void end() override;

private:
  void add_words(const std::string& device, const std::string& socket);

  std::uint32_t processors_;
  troupe::test::scratch_folder folder_;
  std::vector<std::string> words_; // About the devices.
  std::vector<std::unique_ptr<vhost_user::session>> sessions_;
  std::optional<qemu_process> machine_;
};

} // namespace troupe::testing
