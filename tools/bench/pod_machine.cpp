#include "tools/bench/pod_machine.hpp"

#include "actors/devices/virtio/blk/device.hpp"
#include "actors/devices/virtio/blk/host_file.hpp"
#include "actors/devices/virtio/console/device.hpp"
#include "actors/devices/virtio/fs/device.hpp"
#include "actors/devices/virtio/rng/device.hpp"
#include "actors/devices/virtio/vsock/device.hpp"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace troupe::bench {
namespace {

constexpr std::uint32_t device_count = 5;
constexpr std::uint64_t guest_cid = 3;
constexpr milliseconds patience{5'000};
constexpr byte_count disk_size = mib(16);
constexpr gpa kernel_at = mib(16);

outcome<std::unique_ptr<virtio::device>> make_vsock(const std::string& path) {
  return std::make_unique<vsock::device>(guest_cid, TRY(vsock::endpoint::listen(path)));
}

outcome<std::unique_ptr<virtio::device>> make_fs() {
  return TRY(virtio::fs_device::make(std::make_shared<fuse::session>(), {}));
}

outcome<std::unique_ptr<virtio::device>> make_blk(const std::string& path) {
  unique_fd fd{::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)};
  if (!fd)
    return fail_errno("open " + path, errno);
  auto file = TRY(blk::host_file::adopt(std::move(fd), false));
  return std::make_unique<blk::device>(TRY(blk::disk::make(std::move(file), {})));
}

std::unique_ptr<virtio::device> make_console() {
  return std::make_unique<console::device>(
      std::make_shared<console::port>([](std::string_view) {}));
}

vcpu::machine_order order_of(const pod_machine_order& what) {
  vcpu::machine_order out;
  out.name = what.name;
  out.memory = what.memory;
  out.windows = device_count;
  return out;
}

outcome<void> write_file(const std::string& path, std::span<const std::byte> bytes,
                         byte_count size) {
  const unique_fd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  if (!fd)
    return fail_errno("create " + path, errno);
  if (::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
    return fail_errno("write " + path, errno);
  return {};
}

} // namespace

outcome<std::unique_ptr<pod_machine>> pod_machine::make(const pod_machine_order& what,
                                                        devices::worker& loop) {
  std::unique_ptr<pod_machine> out{new pod_machine};
  out->machine_ = TRY(vcpu::machine::create(order_of(what), {}));
  TRY(out->assemble(what, loop));
  TRY(out->machine_->load({what.kernel, what.initrd, "console=hvc0"}));
  return out;
}

outcome<void> pod_machine::assemble(const pod_machine_order& what, devices::worker& loop) {
  TRY(add(TRY(make_vsock(what.folder + "/" + what.name + ".vsock")), loop));
  TRY(add(TRY(make_fs()), loop));
  TRY(add(TRY(make_blk(what.disk)), loop));
  TRY(add(std::make_unique<rng::device>(), loop));
  return add(make_console(), loop);
}

outcome<void> pod_machine::add(std::unique_ptr<virtio::device> device, devices::worker& loop) {
  const auto index = static_cast<std::uint32_t>(sessions_.size());
  const auto window = vcpu::machine::window(index);
  mmio::session_options where;
  where.base = window.registers.start;
  where.gsi = window.gsi;
  sessions_.push_back(TRY(mmio::session::start(std::move(device), machine_->ram(), loop, *machine_,
                                               where, {[] {}, [](const failure&) {}})));
  return machine_->plug(index, sessions_.back()->registers());
}

pod_machine::~pod_machine() {
  if (!machine_)
    return;
  (void)machine_->end(patience);
  for (std::uint32_t i = 0; i < sessions_.size(); ++i)
    machine_->unplug(i);
  sessions_.clear(); // Their doorbells are the machine's.
}

outcome<void> make_disk(const std::string& path) {
  return write_file(path, {}, disk_size);
}

outcome<void> make_least_kernel(const std::string& path) {
  constexpr std::byte hlt{0xf4};
  constexpr std::size_t code_at = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
  Elf64_Phdr segment{};
  segment.p_type = PT_LOAD;
  segment.p_offset = code_at;
  segment.p_paddr = kernel_at;
  segment.p_filesz = segment.p_memsz = sizeof hlt;
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_entry = kernel_at;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof segment;
  header.e_phnum = 1;
  std::array<std::byte, code_at + 1> image{};
  std::memcpy(image.data(), &header, sizeof header);
  std::memcpy(image.data() + sizeof header, &segment, sizeof segment);
  image.back() = hlt;
  return write_file(path, image, image.size());
}

} // namespace troupe::bench
