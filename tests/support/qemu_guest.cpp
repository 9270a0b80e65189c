#include "tests/support/qemu_guest.hpp"

#include "actors/devices/unix_socket.hpp"
#include "actors/sandbox/hypervisor/qemu/host.hpp"
#include "messages/vocabulary/log.hpp"
#include "tests/support/must.hpp"
#include "tests/support/product_kernel.hpp"
#include "tests/support/skip.hpp"

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <stdexcept>

namespace troupe::testing {
namespace {

constexpr milliseconds limit{10'000};
/// Between the last word of a machine that has ended and the end of its process.
constexpr milliseconds last_breath{10'000};

/// QEMU has the tag in its own keeping.
constexpr auto file_system = "vhost-user-fs-pci,tag=kataShared,queue-size=1024";

std::string words_for(const virtio::device& it) {
  if (it.type() == virtio::device_type::fs)
    return file_system;
  const auto words = fmt::format("vhost-user-{}-pci", it.name());
  if (it.type() == virtio::device_type::blk)
    return fmt::format("{},num-queues={}", words, it.queue_sizes().size());
  return words;
}

/// The clock's rate spares the guest its calibration, the longest step of an emulated boot.
std::string kernel_words() {
  return fmt::format("console=ttyS0 quiet panic=-1 cryptomgr.notests mitigations=off "
                     "tsc_early_khz={}",
                     hypervisor::qemu::read_host_facts().tsc_khz);
}

void tell(vhost_user::session_event, const std::optional<failure>& why) {
  if (why)
    std::printf("device: %s\n", why->to_string().c_str());
}

} // namespace

qemu_guest::qemu_guest(std::uint32_t processors) : processors_(processors) {
  log::set_sink([](const log::record& what) {
    std::printf("log: %s: %s\n", std::string{what.who}.c_str(), std::string{what.text}.c_str());
  });
}

qemu_guest::~qemu_guest() {
  try {
    end();
  } catch (const std::exception& broken) {
    std::printf("guest: FAIL %s\n", broken.what());
  }
  sessions_.clear();
  log::set_sink({});
}

void qemu_guest::add(std::unique_ptr<virtio::device> device, devices::worker& loop) {
  const auto socket = folder_.file(fmt::format("device-{}", sessions_.size()));
  add_words(words_for(*device), socket);
  sessions_.push_back(must(vhost_user::session::start(must(devices::listen_unix(socket, 1)),
                                                      std::move(device), loop, tell)));
}

void qemu_guest::add_file_system(const std::string& socket) {
  add_words(file_system, socket);
}

void qemu_guest::add_words(const std::string& device, const std::string& socket) {
  const auto id = fmt::format("c{}", words_.size());
  words_.insert(words_.end(), {"-chardev", fmt::format("socket,id={},path={}", id, socket),
                               "-device", fmt::format("{},chardev={}", device, id)});
}

void qemu_guest::replace_device(std::size_t index, std::unique_ptr<virtio::device> next) {
  must(sessions_.at(index)->replace_device(std::move(next), limit));
}

void qemu_guest::boot(const std::string& initrd, const std::string& words) {
  std::vector<std::string> all{"-accel", "tcg", "-cpu", "max", "-m", "256M"};
  all.insert(all.end(), {"-smp", fmt::format("{}", processors_)});
  all.insert(all.end(), {"-M", "q35,memory-backend=m0", "-object",
                         "memory-backend-memfd,id=m0,size=256M,share=on"});
  all.insert(all.end(), words_.begin(), words_.end());
  all.insert(all.end(), {"-kernel", product_kernel(), "-initrd", initrd, "-append",
                         kernel_words() + " " + words});
  machine_.emplace(std::move(all));
}

void qemu_guest::check_end() {
  const auto status = machine_->wait(last_breath);
  if (!status)
    throw std::runtime_error("guest: not at its end in time");
  if (*status != 0)
    throw std::runtime_error(fmt::format("guest: QEMU ended with status {}", *status));
}

void qemu_guest::end() {
  machine_.reset();
  for (std::size_t i = 0; i < sessions_.size(); ++i) {
    if (const auto did = sessions_[i]->stats(limit))
      std::printf("vhost-user %zu: %lu messages, %lu kicks, %lu chains, %lu bytes, %lu errors\n", i,
                  did->messages, did->kicks, did->chains, did->bytes, did->errors);
    must(sessions_[i]->stop(limit));
  }
  sessions_.clear();
}

guest_traits traits_of_guests() {
  return {};
}

void need_guests(const std::vector<std::string>& files) {
  auto all = files;
  all.insert(all.begin(), {qemu_binary, product_kernel()});
  for (const auto& it : all)
    need(::access(it.c_str(), R_OK) == 0, it);
}

std::unique_ptr<guest> make_guest(std::uint32_t processors) {
  return std::make_unique<qemu_guest>(processors);
}

} // namespace troupe::testing
