#include "actors/devices/pod/device_parts.hpp"

#include "actors/devices/virtio/blk/device.hpp"
#include "actors/devices/virtio/blk/host_file.hpp"
#include "actors/devices/virtio/fs/device.hpp"
#include "actors/devices/virtio/rng/device.hpp"
#include "actors/devices/virtio/vsock/device.hpp"

namespace troupe {
namespace {

/// The guest's end of the vsock device; 3 is the first number not reserved.
constexpr std::uint64_t guest_cid = 3;

} // namespace

device_parts vsock_parts(const machine_place& place) {
  const auto end = std::make_shared<std::shared_ptr<vsock::endpoint>>();
  device_parts out;
  out.name = "vsock";
  out.files = {agent_socket_file};
  out.make = [path = place.agent_socket(), end]() -> outcome<std::unique_ptr<virtio::device>> {
    if (!*end)
      *end = TRY(vsock::endpoint::listen(path));
    return std::make_unique<vsock::device>(guest_cid, *end);
  };
  out.release = [end] { end->reset(); };
  return out;
}

device_parts fs_parts(const machine_place& place, std::shared_ptr<fuse::session> session,
                      std::function<std::uint16_t()> threads) {
  device_parts out;
  out.name = "fs";
  out.make = [tag = place.share_tag, session = std::move(session),
              threads = std::move(threads)]() -> outcome<std::unique_ptr<virtio::device>> {
    virtio::fs_options options;
    options.tag = tag;
    options.threads = threads();
    return TRY(virtio::fs_device::make(session, std::move(options)));
  };
  return out;
}

device_parts rng_parts() {
  device_parts out;
  out.name = "rng";
  out.make = []() -> outcome<std::unique_ptr<virtio::device>> {
    return std::make_unique<rng::device>();
  };
  return out;
}

blk::engine_kind disk_engine(const config::hypervisor_config& table) noexcept {
  return table.block_device_aio == "threads" ? blk::engine_kind::threads
                                             : blk::engine_kind::io_uring;
}

device_parts disk_parts(const machine_place& place, std::size_t index,
                        std::shared_ptr<fault_plan> faults,
                        std::function<blk::engine_kind()> engine) {
  const auto disk = std::make_shared<std::shared_ptr<blk::disk>>();
  device_parts out;
  out.name = disk_name(index);
  out.make = [what = place.disks[index], disk, faults = std::move(faults),
              engine = std::move(engine)]() -> outcome<std::unique_ptr<virtio::device>> {
    if (!*disk) {
      blk::disk_options options;
      options.engine = engine();
      options.serial = what.serial;
      options.faults = faults;
      *disk = TRY(blk::disk::make(TRY(blk::host_file::open(what.path, what.read_only)),
                                  std::move(options)));
    }
    return std::make_unique<blk::device>(*disk);
  };
  out.release = [disk] { disk->reset(); };
  return out;
}

} // namespace troupe
