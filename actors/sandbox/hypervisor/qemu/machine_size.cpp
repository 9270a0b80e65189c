#include "actors/sandbox/hypervisor/qemu/argv.hpp"
#include "actors/sandbox/hypervisor/qemu/hotplug.hpp"
#include "actors/sandbox/hypervisor/qemu/machine.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace troupe::hypervisor::qemu {
namespace {

using nlohmann::json;

std::size_t used(const std::vector<cpu_slot>& slots) {
  return static_cast<std::size_t>(
      std::ranges::count_if(slots, [](const cpu_slot& slot) { return !slot.path.empty(); }));
}

outcome<std::vector<cpu_slot>> query_slots(qmp_client& qmp, time_point deadline) {
  return cpu_slots(TRY(qmp.execute("query-hotpluggable-cpus", nullptr, deadline)));
}

} // namespace

// -- size
// ------------------------------------------------------------------------------------------

machine_size machine::size() const {
  const lock held{mutex_};
  return {vcpus_, memory_};
}

outcome<machine_size> machine::resize(const machine_size& wanted, time_point deadline) {
  const auto qmp = TRY(running("resize"));
  const auto can = capabilities();
  const auto now = size();
  if (wanted.vcpus != 0 && wanted.vcpus != now.vcpus) {
    if (!can.vcpu_hotplug)
      return fail(errc::unimplemented,
                  "resize: this machine has a fixed number of processors (machine_type {}, "
                  "default_maxvcpus {})",
                  config_.machine_type, config_.max_vcpus);
    TRY(grow_processors(*qmp, wanted.vcpus, deadline));
    TRY(shrink_processors(*qmp, wanted.vcpus, deadline));
  }
  if (wanted.memory != 0 && wanted.memory != now.memory) {
    if (!can.memory_resize)
      return fail(errc::unimplemented, "resize: this machine has no balloon");
    TRY(set_memory(*qmp, wanted.memory, deadline));
  }
  return size();
}

outcome<void> machine::grow_processors(qmp_client& qmp, std::uint32_t wanted, time_point deadline) {
  if (wanted > config_.max_vcpus)
    return fail(errc::invalid_argument, "resize: {} processors, default_maxvcpus is {}", wanted,
                config_.max_vcpus);
  const auto slots = TRY(query_slots(qmp, deadline));
  auto count = used(slots);
  for (std::size_t i = 0; i < slots.size() && count < wanted; ++i) {
    if (!slots[i].path.empty())
      continue;
    json arguments = slots[i].properties;
    arguments["driver"] = slots[i].type;
    arguments["id"] = cpu_id(i);
    TRY(qmp.execute("device_add", arguments, deadline));
    const lock held{mutex_};
    vcpus_ = static_cast<std::uint32_t>(++count);
  }
  return {};
}

/// Only processors that were added can go; those of the boot stay.
outcome<void> machine::shrink_processors(qmp_client& qmp, std::uint32_t wanted,
                                         time_point deadline) {
  const auto slots = TRY(query_slots(qmp, deadline));
  auto count = used(slots);
  for (auto i = slots.size(); i-- > 0 && count > std::max(wanted, config_.vcpus);) {
    if (slots[i].path.empty())
      continue;
    TRY(unplug(qmp, cpu_id(i), deadline));
    const lock held{mutex_};
    vcpus_ = static_cast<std::uint32_t>(--count);
  }
  return {};
}

outcome<void> machine::set_memory(qmp_client& qmp, byte_count wanted, time_point deadline) {
  if (wanted > config_.memory || wanted < min_memory)
    return fail(errc::invalid_argument, "resize: {} MiB of memory, not {} to {}", wanted >> 20,
                min_memory >> 20, config_.memory >> 20);
  TRY(qmp.execute("balloon", {{"value", wanted}}, deadline));
  lock held{mutex_};
  return await(held, deadline, "wait for the guest's balloon", [&] { return memory_ == wanted; });
}

// -- devices
// ---------------------------------------------------------------------------------------

/// The lowest free root port, reserved for `what`. @pre mutex_ is not held.
outcome<std::uint32_t> machine::take_port(const device& what) {
  const lock held{mutex_};
  if (config_.machine_type != "q35")
    return fail(errc::unimplemented, "add_device: machine_type {} cannot plug devices; use q35",
                config_.machine_type);
  if (devices_.contains(id_of(what)))
    return fail(errc::already_exists, "add_device: there is a device {}", id_of(what));
  for (std::uint32_t port = 0; port < config_.spare_ports; ++port) {
    const bool taken =
        std::ranges::any_of(devices_, [&](const auto& entry) { return entry.second.port == port; });
    if (taken)
      continue;
    devices_[id_of(what)] = {what, port};
    return port;
  }
  return fail(errc::resource_exhausted, "add_device: all {} spare ports (pcie_root_port) are taken",
              config_.spare_ports);
}

outcome<void> machine::add_device(const device& what, time_point deadline) {
  TRY(check(what));
  const auto qmp = TRY(running("add_device"));
  const auto port = TRY(take_port(what));
  auto done = plug(*qmp, what, port_id(port), deadline);
  if (!done) {
    const lock held{mutex_};
    devices_.erase(id_of(what));
  }
  return done;
}

/// Asks, and waits until the guest has let go. @pre mutex_ is not held.
outcome<void> machine::unplug(qmp_client& qmp, const std::string& id, time_point deadline) {
  {
    const lock held{mutex_};
    deleted_.erase(id);
  }
  // Asking twice is refused while the first is pending; the wait below tells which it was.
  const auto asked = qmp.execute("device_del", {{"id", id}}, deadline);
  if (!asked && asked.error().code != errc::peer_fault)
    return tl::unexpected(asked.error());
  lock held{mutex_};
  auto released = await(held, deadline, fmt::format("wait for the guest to release {}", id),
                        [&] { return deleted_.contains(id); });
  if (!released && !asked)
    return tl::unexpected(asked.error());
  return released;
}

outcome<void> machine::remove_device(const std::string& id, time_point deadline) {
  const auto qmp = TRY(running("remove_device"));
  std::optional<plugged> found;
  {
    const lock held{mutex_};
    if (const auto entry = devices_.find(id); entry != devices_.end())
      found = entry->second;
  }
  if (!found)
    return fail(errc::not_found, "remove_device: no device {}", id);
  if (!found->port)
    return fail(errc::failed_precondition, "remove_device: {} has been there since the boot", id);
  TRY(unplug(*qmp, id, deadline));
  TRY(drop_backend(*qmp, found->what, deadline));
  const lock held{mutex_};
  devices_.erase(id);
  return {};
}

outcome<void> machine::update_device(const device& what, time_point deadline) {
  const auto* block = std::get_if<block_device>(&what);
  if (block == nullptr)
    return fail(errc::unimplemented, "update_device: only block devices can change");
  const auto qmp = TRY(running("update_device"));
  {
    const lock held{mutex_};
    if (!devices_.contains(block->id))
      return fail(errc::not_found, "update_device: no device {}", block->id);
  }
  return resize_block(*qmp, *block, deadline);
}

// -- saved state
// -----------------------------------------------------------------------------------

outcome<void> machine::save(const std::string& path, time_point deadline) {
  const auto qmp = TRY(running("save"));
  if (!capabilities().save)
    return fail(errc::unimplemented, "save: QEMU cannot save a machine with vhost-user-fs shares");
  const unique_fd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (!file)
    return fail_errno("save: make " + path, errno);
  auto saved = migrate_to(*qmp, file.get(), deadline);
  if (!saved)
    ::unlink(path.c_str());
  return saved;
}

outcome<void> machine::migrate_to(qmp_client& qmp, int file, time_point deadline) {
  const json events{{"capability", "events"}, {"state", true}};
  TRY(qmp.execute("stop", nullptr, deadline));
  TRY(qmp.execute("migrate-set-capabilities", {{"capabilities", json::array({events})}}, deadline));
  TRY(qmp.execute("getfd", {{"fdname", "save"}}, deadline, file));
  {
    const lock held{mutex_};
    migration_status_.clear();
  }
  TRY(qmp.execute("migrate", {{"uri", "fd:save"}}, deadline));
  lock held{mutex_};
  auto ended = await(held, deadline, "wait for the state to be written", [&] {
    return migration_status_ == "completed" || migration_status_ == "failed";
  });
  const bool completed = migration_status_ == "completed";
  held.unlock();
  if (!ended)
    (void)qmp.execute("migrate_cancel", nullptr, monotonic_clock::now() + seconds{1});
  if (ended && !completed)
    return fail(errc::peer_fault, "save: QEMU could not write the state");
  return ended;
}

} // namespace troupe::hypervisor::qemu
