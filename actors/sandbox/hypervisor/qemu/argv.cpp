#include "actors/sandbox/hypervisor/qemu/argv.hpp"

#include <fmt/format.h>

namespace troupe::hypervisor::qemu {
namespace {

using args = std::vector<std::string>;

void add(args& out, std::string flag, std::string value) {
  out.push_back(std::move(flag));
  out.push_back(std::move(value));
}

bool on_q35(const machine_config& c) {
  return c.machine_type == "q35";
}

std::string machine(const machine_config& c) {
  // q35 without the disk and SMBus controllers that nothing here uses; microvm with ACPI, because
  // that is how the guest finds its virtio-mmio devices. Its RTC stays: without it Linux waits 2 s.
  return on_q35(c) ? "q35,memory-backend=ram,sata=off,smbus=off"
                   : "microvm,acpi=on,memory-backend=ram";
}

std::string cpu(const machine_config& c) {
  // Where KVM has no MSR 0x10a, QEMU 7.2 aborts unless arch-capabilities is off.
  std::string out = c.accel == accelerator::kvm ? "host,-arch-capabilities" : "max";
  if (!c.cpu_model.empty())
    out = c.cpu_model;
  return c.cpu_features.empty() ? out : out + "," + c.cpu_features;
}

std::string processors(const machine_config& c) {
  if (c.max_vcpus <= c.vcpus)
    return fmt::format("{}", c.vcpus);
  return fmt::format("{},maxcpus={},sockets={},cores=1,threads=1", c.vcpus, c.max_vcpus,
                     c.max_vcpus);
}

void add_core(args& out, const machine_config& c) {
  const auto size = fmt::format("{}M", c.memory >> 20);
  add(out, "-name", fmt::format("guest={}/{},debug-threads=on", c.id, c.token));
  for (const char* flag : {"-nodefaults", "-no-user-config", "-no-reboot"})
    out.emplace_back(flag);
  add(out, "-display", "none");
  add(out, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
  add(out, "-accel", c.accel == accelerator::kvm ? "kvm" : "tcg");
  add(out, "-machine", machine(c));
  add(out, "-cpu", cpu(c));
  add(out, "-smp", processors(c));
  add(out, "-m", size);
  // vhost-user backends map guest memory, hence a shared memfd.
  add(out, "-object", fmt::format("memory-backend-memfd,id=ram,size={},share=on", size));
  if (!on_q35(c))
    add(out, "-global", "virtio-mmio.force-legacy=false");
}

void add_boot(args& out, const machine_config& c, const host_facts& host) {
  add(out, "-kernel", c.kernel);
  add(out, "-initrd", c.initrd);
  add(out, "-append", kernel_command_line(c, host));
}

void add_channels(args& out, const machine_config& c) {
  add(out, "-chardev", fmt::format("socket,id=qmp,fd={}", qmp_fd));
  add(out, "-mon", "chardev=qmp,mode=control");
  if (c.console) {
    add(out, "-chardev", fmt::format("socket,id=console,fd={}", console_fd));
    add(out, "-serial", "chardev:console");
  }
}

/// Writes the boot-time devices; taps get their descriptor numbers on the way.
struct device_writer {
  args& out;
  std::string_view machine_type;
  int next_tap = first_tap_fd;

  [[nodiscard]] std::string driver(std::string_view kind) const {
    return driver_name(kind, machine_type);
  }
  void chardev(const std::string& id, const std::string& path) const {
    add(out, "-chardev", fmt::format("socket,id={},path={}", backend_id(id), quoted(path)));
  }
  void operator()(const vsock_device& d) const {
    chardev(d.id, d.socket_path);
    add(out, "-device",
        fmt::format("{},id={},chardev={}", driver("vhost-user-vsock"), d.id, backend_id(d.id)));
  }
  void operator()(const fs_device& d) const {
    chardev(d.id, d.socket_path);
    add(out, "-device",
        fmt::format("{},id={},chardev={},tag={},queue-size={}", driver("vhost-user-fs"), d.id,
                    backend_id(d.id), d.tag, d.queue_size));
  }
  void operator()(const served_device& d) const {
    chardev(d.id, d.socket_path);
    add(out, "-device",
        fmt::format("{},id={},chardev={}{}", served_driver(d.what, machine_type), d.id,
                    backend_id(d.id), d.what == served_device::kind::blk ? ",num-queues=1" : ""));
  }
  void operator()(const block_device& d) const {
    // "file" serves block devices too, with a warning nobody needs; blockdev-add at run time knows.
    add(out, "-blockdev",
        fmt::format("driver=raw,node-name={},read-only={},file.driver=file,file.filename={}",
                    backend_id(d.id), d.read_only ? "on" : "off", quoted(d.path)));
    const auto serial = d.serial.empty() ? "" : ",serial=" + d.serial;
    add(out, "-device",
        fmt::format("{},id={},drive={}{}", driver("virtio-blk"), d.id, backend_id(d.id), serial));
  }
  void operator()(const net_device& d) {
    add(out, "-netdev", fmt::format("tap,id={},fd={}", backend_id(d.id), next_tap++));
    const auto rom = machine_type == "q35" ? ",romfile=" : "";
    add(out, "-device",
        fmt::format("{},id={},netdev={},mac={}{}", driver("virtio-net"), d.id, backend_id(d.id),
                    d.mac, rom));
  }
};

void add_devices(args& out, const machine_config& c) {
  device_writer write{out, c.machine_type};
  for (const auto& device : c.devices)
    std::visit(write, device);
  if (c.balloon)
    add(out, "-device", driver_name("virtio-balloon", c.machine_type) + ",id=balloon");
  if (on_q35(c))
    add(out, "-device", "pvpanic-pci");
  for (std::uint32_t i = 0; i < c.spare_ports; ++i)
    add(out, "-device",
        fmt::format("pcie-root-port,id={},chassis={},slot={}", port_id(i), i + 1, i + 1));
}

} // namespace

std::vector<std::string> command_line(const machine_config& config, const host_facts& host) {
  args out{config.binary};
  add_core(out, config);
  add_boot(out, config, host);
  add_channels(out, config);
  add_devices(out, config);
  return out;
}

std::string kernel_command_line(const machine_config& config, const host_facts& host) {
  std::string line = config.verbose ? "panic=-1 oops=panic cryptomgr.notests"
                                    : "quiet panic=-1 oops=panic cryptomgr.notests";
  if (config.console)
    line += " console=ttyS0";
  if (on_q35(config))
    line += " reboot=k";
  else if (host.tsc_khz != 0)
    line += fmt::format(" tsc_early_khz={}", host.tsc_khz);
  // A translated guest cannot be attacked by speculation, and cannot be isolated either. Its timer
  // may stand still for so long on a busy host that Linux takes it for broken and panics.
  if (config.accel == accelerator::tcg)
    line += " mitigations=off no_timer_check";
  if (!config.kernel_params.empty())
    line += " " + config.kernel_params;
  return line;
}

std::vector<int> tap_fds(const machine_config& config) {
  std::vector<int> fds;
  for (const auto& device : config.devices)
    if (const auto* net = std::get_if<net_device>(&device))
      fds.push_back(net->tap_fd);
  return fds;
}

std::string quoted(std::string_view value) {
  std::string out;
  for (const char c : value)
    out.append(c == ',' ? 2 : 1, c);
  return out;
}

std::string driver_name(std::string_view kind, std::string_view machine_type) {
  return fmt::format("{}-{}", kind, machine_type == "q35" ? "pci" : "device");
}

std::string served_driver(served_device::kind what, std::string_view machine_type) {
  const auto name = what == served_device::kind::blk ? "vhost-user-blk" : "vhost-user-rng";
  return fmt::format("{}{}", name, machine_type == "q35" ? "-pci" : "");
}

std::string port_id(std::uint32_t index) {
  return fmt::format("rp{}", index);
}

std::string backend_id(std::string_view device_id) {
  return fmt::format("{}-be", device_id);
}

} // namespace troupe::hypervisor::qemu
