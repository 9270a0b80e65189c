#include "actors/sandbox/hypervisor/machine_config.hpp"

#include <algorithm>
#include <bit>
#include <cctype>
#include <set>

namespace troupe::hypervisor {
namespace {

constexpr std::size_t max_device_id = 31;
constexpr std::size_t max_tag = 36;    // virtio 1.2 §5.11.4
constexpr std::size_t max_serial = 20; // virtio 1.2 §5.2.6.1, VIRTIO_BLK_T_GET_ID
constexpr std::uint16_t max_queue_size = 1024;
constexpr std::size_t mac_length = 17;

bool is_word(std::string_view text, std::string_view extra) {
  return std::ranges::all_of(text, [&](unsigned char c) {
    return std::isalnum(c) != 0 || extra.find(static_cast<char>(c)) != extra.npos;
  });
}

bool is_path(std::string_view text) {
  return text.starts_with('/') && text.find_first_of({"\0\n", 2}) == text.npos;
}

outcome<void> need_path(std::string_view field, std::string_view path) {
  if (!is_path(path))
    return fail(errc::invalid_argument, "{}: \"{}\" is no absolute path", field, path);
  return {};
}

bool is_mac(std::string_view text) {
  if (text.size() != mac_length)
    return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool colon = i % 3 == 2;
    if (colon ? text[i] != ':' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0)
      return false;
  }
  return true;
}

struct device_check {
  outcome<void> operator()(const vsock_device& d) const {
    return need_path("vsock.socket_path", d.socket_path);
  }
  outcome<void> operator()(const fs_device& d) const {
    TRY(need_path("fs.socket_path", d.socket_path));
    if (d.tag.empty() || d.tag.size() > max_tag || !is_word(d.tag, "._-"))
      return fail(errc::invalid_argument, "fs.tag: \"{}\" is not 1 to {} word characters", d.tag,
                  max_tag);
    if (!std::has_single_bit(d.queue_size) || d.queue_size > max_queue_size)
      return fail(errc::invalid_argument, "fs.queue_size: {} is no power of two up to {}",
                  d.queue_size, max_queue_size);
    return {};
  }
  outcome<void> operator()(const served_device& d) const {
    return need_path(fmt::format("{}.socket_path", d.id), d.socket_path);
  }
  outcome<void> operator()(const block_device& d) const {
    if (d.serial.size() > max_serial || !is_word(d.serial, "._-"))
      return fail(errc::invalid_argument, "block.serial: \"{}\" is not up to {} word characters",
                  d.serial, max_serial);
    return need_path("block.path", d.path);
  }
  outcome<void> operator()(const net_device& d) const {
    if (d.tap_fd < 0)
      return fail(errc::invalid_argument, "net.tap_fd: no descriptor");
    if (!is_mac(d.mac))
      return fail(errc::invalid_argument, "net.mac: \"{}\" is no MAC address", d.mac);
    return {};
  }
};

outcome<void> check_size(const machine_config& c) {
  if (c.vcpus == 0 || c.vcpus > max_vcpus_per_machine)
    return fail(errc::invalid_argument, "default_vcpus: {} is not 1 to {}", c.vcpus,
                max_vcpus_per_machine);
  if (c.max_vcpus != 0 && (c.max_vcpus < c.vcpus || c.max_vcpus > max_vcpus_per_machine))
    return fail(errc::invalid_argument, "default_maxvcpus: {} is not {} to {}", c.max_vcpus,
                c.vcpus, max_vcpus_per_machine);
  if (c.memory < min_memory || c.memory > max_memory || c.memory % mib(1) != 0)
    return fail(errc::invalid_argument, "default_memory: {} bytes is not whole MiB from {} to {}",
                c.memory, min_memory >> 20, max_memory >> 20);
  if (c.hugepages && c.memory % huge_page_size != 0)
    return fail(errc::invalid_argument, "default_memory: {} MiB is not even, as huge pages need it",
                c.memory >> 20);
  return {};
}

outcome<void> check_type(const machine_config& c) {
  if (c.machine_type != "q35" && c.machine_type != "microvm")
    return fail(errc::invalid_argument, "machine_type: \"{}\" is neither q35 nor microvm",
                c.machine_type);
  if (c.machine_type == "q35")
    return {};
  if (c.max_vcpus > c.vcpus)
    return fail(errc::unimplemented,
                "default_maxvcpus: machine_type microvm cannot add processors; use q35");
  if (c.spare_ports > 0)
    return fail(errc::unimplemented,
                "pcie_root_port: machine_type microvm cannot plug devices; use q35");
  return {};
}

outcome<void> check_words(const machine_config& c) {
  if (c.id.empty() || !is_word(c.id, "._-"))
    return fail(errc::invalid_argument, "id: \"{}\" is no machine name", c.id);
  if (c.token.empty() || !is_word(c.token, "-"))
    return fail(errc::invalid_argument, "token: \"{}\" is not a word", c.token);
  if (!is_word(c.cpu_model, "._-+=,"))
    return fail(errc::invalid_argument, "cpu_model: \"{}\" has odd characters", c.cpu_model);
  if (!is_word(c.cpu_features, "._-+=,"))
    return fail(errc::invalid_argument, "cpu_features: \"{}\" has odd characters", c.cpu_features);
  if (c.kernel_params.size() > max_kernel_params ||
      c.kernel_params.find_first_of({"\0\n", 2}) != c.kernel_params.npos)
    return fail(errc::invalid_argument, "kernel_params: longer than {} bytes or more than a line",
                max_kernel_params);
  return {};
}

outcome<void> check_devices(const machine_config& c) {
  if (c.devices.size() > max_devices)
    return fail(errc::resource_exhausted, "devices: {} are more than {}", c.devices.size(),
                max_devices);
  if (c.spare_ports > max_spare_ports)
    return fail(errc::invalid_argument, "pcie_root_port: {} is more than {}", c.spare_ports,
                max_spare_ports);
  std::set<std::string_view> seen;
  for (const auto& device : c.devices) {
    TRY(check(device));
    if (!seen.insert(id_of(device)).second)
      return fail(errc::already_exists, "devices: two are called {}", id_of(device));
  }
  return {};
}

} // namespace

const std::string& id_of(const device& which) noexcept {
  return std::visit([](const auto& d) -> const std::string& { return d.id; }, which);
}

outcome<void> check(const device& which) {
  const auto& id = id_of(which);
  if (id.empty() || id.size() > max_device_id || !is_word(id, "_-") ||
      std::isalpha(static_cast<unsigned char>(id.front())) == 0)
    return fail(errc::invalid_argument, "device id: \"{}\" is not up to {} word characters", id,
                max_device_id);
  return std::visit(device_check{}, which);
}

outcome<void> check(const machine_config& config) {
  TRY(check_words(config));
  TRY(need_path("run_directory", config.run_directory));
  TRY(need_path("path", config.binary));
  TRY(need_path("kernel", config.kernel));
  if (!config.bare || !config.initrd.empty())
    TRY(need_path("initrd", config.initrd));
  TRY(check_type(config));
  TRY(check_size(config));
  return check_devices(config);
}

} // namespace troupe::hypervisor
