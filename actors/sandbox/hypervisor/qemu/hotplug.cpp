#include "actors/sandbox/hypervisor/qemu/hotplug.hpp"

#include "actors/sandbox/hypervisor/qemu/argv.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::hypervisor::qemu {
namespace {

using nlohmann::json;

outcome<void> run(qmp_client& qmp, std::string_view name, const json& arguments,
                  time_point deadline, int passed = -1) {
  TRY(qmp.execute(name, arguments, deadline, passed));
  return {};
}

bool is_block_node(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISBLK(st.st_mode);
}

json chardev(const std::string& id, const std::string& path) {
  const json address{{"type", "unix"}, {"data", {{"path", path}}}};
  const json socket{{"addr", address}, {"server", false}};
  return {{"id", backend_id(id)}, {"backend", {{"type", "socket"}, {"data", socket}}}};
}

/// Makes what stands behind the device on the host.
struct backend_maker {
  qmp_client& qmp;
  time_point deadline;

  outcome<void> operator()(const vsock_device& d) const {
    return run(qmp, "chardev-add", chardev(d.id, d.socket_path), deadline);
  }
  outcome<void> operator()(const fs_device& d) const {
    return run(qmp, "chardev-add", chardev(d.id, d.socket_path), deadline);
  }
  outcome<void> operator()(const served_device& d) const {
    return run(qmp, "chardev-add", chardev(d.id, d.socket_path), deadline);
  }
  outcome<void> operator()(const block_device& d) const {
    const json file{{"driver", is_block_node(d.path) ? "host_device" : "file"},
                    {"filename", d.path}};
    const json node{{"driver", "raw"},
                    {"node-name", backend_id(d.id)},
                    {"read-only", d.read_only},
                    {"file", file}};
    return run(qmp, "blockdev-add", node, deadline);
  }
  outcome<void> operator()(const net_device& d) const {
    TRY(run(qmp, "getfd", {{"fdname", d.id}}, deadline, d.tap_fd));
    return run(qmp, "netdev_add", {{"type", "tap"}, {"id", backend_id(d.id)}, {"fd", d.id}},
               deadline);
  }
};

struct frontend_writer {
  json operator()(const vsock_device& d) const {
    return {{"driver", "vhost-user-vsock-pci"}, {"chardev", backend_id(d.id)}};
  }
  json operator()(const fs_device& d) const {
    return {{"driver", "vhost-user-fs-pci"},
            {"chardev", backend_id(d.id)},
            {"tag", d.tag},
            {"queue-size", d.queue_size}};
  }
  json operator()(const served_device& d) const {
    return {{"driver", served_driver(d.what, "q35")}, {"chardev", backend_id(d.id)}};
  }
  json operator()(const block_device& d) const {
    json front{{"driver", "virtio-blk-pci"}, {"drive", backend_id(d.id)}};
    if (!d.serial.empty())
      front["serial"] = d.serial;
    return front;
  }
  json operator()(const net_device& d) const {
    return {{"driver", "virtio-net-pci"},
            {"netdev", backend_id(d.id)},
            {"mac", d.mac},
            {"romfile", ""}};
  }
};

struct backend_dropper {
  qmp_client& qmp;
  time_point deadline;

  outcome<void> operator()(const block_device& d) const {
    return run(qmp, "blockdev-del", {{"node-name", backend_id(d.id)}}, deadline);
  }
  outcome<void> operator()(const net_device& d) const {
    return run(qmp, "netdev_del", {{"id", backend_id(d.id)}}, deadline);
  }
  outcome<void> operator()(const auto& d) const {
    return run(qmp, "chardev-remove", {{"id", backend_id(d.id)}}, deadline);
  }
};

} // namespace

outcome<void> plug(qmp_client& qmp, const device& what, const std::string& port,
                   time_point deadline) {
  TRY(std::visit(backend_maker{qmp, deadline}, what));
  auto front = std::visit(frontend_writer{}, what);
  front["id"] = id_of(what);
  front["bus"] = port;
  auto plugged = run(qmp, "device_add", front, deadline);
  if (!plugged)
    (void)drop_backend(qmp, what, deadline); // the first failure is the one to tell
  return plugged;
}

outcome<void> drop_backend(qmp_client& qmp, const device& what, time_point deadline) {
  return std::visit(backend_dropper{qmp, deadline}, what);
}

outcome<void> resize_block(qmp_client& qmp, const block_device& what, time_point deadline) {
  const unique_fd fd{::open(what.path.c_str(), O_RDONLY | O_CLOEXEC)};
  const auto size = fd ? ::lseek(fd.get(), 0, SEEK_END) : -1;
  if (size < 0)
    return fail_errno("block " + what.id + ": size of " + what.path, errno);
  return run(qmp, "block_resize", {{"node-name", backend_id(what.id)}, {"size", size}}, deadline);
}

outcome<std::vector<cpu_slot>> cpu_slots(const json& answer) {
  if (!answer.is_array() || answer.size() > max_vcpus_per_machine)
    return fail(errc::peer_fault, "qemu: query-hotpluggable-cpus: no list");
  std::vector<cpu_slot> slots;
  for (const auto& item : answer) {
    if (!item.is_object() || !item.contains("type") || !item["type"].is_string() ||
        !item.contains("props") || !item["props"].is_object())
      return fail(errc::peer_fault, "qemu: query-hotpluggable-cpus: a slot without type or props");
    const auto path = item.find("qom-path");
    slots.push_back({item["type"], item["props"],
                     path != item.end() && path->is_string() ? path->get<std::string>() : ""});
  }
  std::ranges::reverse(slots); // QEMU lists the highest first
  return slots;
}

std::string cpu_id(std::size_t index) {
  return fmt::format("cpu{}", index);
}

} // namespace troupe::hypervisor::qemu
