#include "actors/sandbox/hypervisor/qemu/argv.hpp"
#include "actors/sandbox/hypervisor/qemu/host.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <functional>

using namespace troupe;
using namespace troupe::hypervisor;
using namespace troupe::hypervisor::qemu;
using troupe::test::scratch_folder;
using words = std::vector<std::string>;

namespace {

constexpr host_facts host{2600000};

machine_config plain_config() {
  machine_config c;
  c.id = "pod-1";
  c.token = "0123456789abcdef";
  c.run_directory = "/run/troupe/pod-1";
  c.kernel = "/k/vmlinux";
  c.initrd = "/k/initrd";
  return c;
}

/// The value after `flag` that begins with `start`, or "".
std::string value_of(const words& argv, std::string_view flag, std::string_view start = "") {
  for (std::size_t i = 0; i + 1 < argv.size(); ++i)
    if (argv[i] == flag && argv[i + 1].starts_with(start))
      return argv[i + 1];
  return {};
}

} // namespace

TEST_CASE("argv: features are added to the model, also to the one that nobody named") {
  auto c = plain_config();
  c.cpu_features = "pmu=off,+x2apic";
  CHECK(value_of(command_line(c, host), "-cpu") == "max,pmu=off,+x2apic");
  c.cpu_model = "Nehalem";
  CHECK(value_of(command_line(c, host), "-cpu") == "Nehalem,pmu=off,+x2apic");
}

TEST_CASE("argv: a device of ours behind a socket, by the machine's bus") {
  auto c = plain_config();
  c.devices = {served_device{served_device::kind::rng, "rng", "/r"},
               served_device{served_device::kind::blk, "disk0", "/d"}};
  CHECK(value_of(command_line(c, host), "-device", "vhost-user-rng") ==
        "vhost-user-rng-pci,id=rng,chardev=rng-be");
  CHECK(value_of(command_line(c, host), "-device", "vhost-user-blk") ==
        "vhost-user-blk-pci,id=disk0,chardev=disk0-be,num-queues=1");
  CHECK(value_of(command_line(c, host), "-chardev", "socket,id=rng") == "socket,id=rng-be,path=/r");
  c.machine_type = "microvm";
  CHECK(value_of(command_line(c, host), "-device", "vhost-user-rng") ==
        "vhost-user-rng,id=rng,chardev=rng-be");
}

TEST_CASE("argv: a verbose guest is not told to be quiet") {
  auto c = plain_config();
  CHECK(value_of(command_line(c, host), "-append").starts_with("quiet "));
  c.verbose = true;
  CHECK(value_of(command_line(c, host), "-append").find("quiet") == std::string::npos);
}

TEST_CASE("argv: a q35 machine under TCG, word for word") {
  CHECK(
      command_line(plain_config(), host) ==
      words{
          "/usr/bin/qemu-system-x86_64",
          "-name",
          "guest=pod-1/0123456789abcdef,debug-threads=on",
          "-nodefaults",
          "-no-user-config",
          "-no-reboot",
          "-display",
          "none",
          "-sandbox",
          "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
          "-accel",
          "tcg",
          "-machine",
          "q35,memory-backend=ram,sata=off,smbus=off",
          "-cpu",
          "max",
          "-smp",
          "1",
          "-m",
          "256M",
          "-object",
          "memory-backend-memfd,id=ram,size=256M,share=on",
          "-kernel",
          "/k/vmlinux",
          "-initrd",
          "/k/initrd",
          "-append",
          "quiet panic=-1 oops=panic cryptomgr.notests console=ttyS0 reboot=k mitigations=off "
          "no_timer_check",
          "-chardev",
          "socket,id=qmp,fd=3",
          "-mon",
          "chardev=qmp,mode=control",
          "-chardev",
          "socket,id=console,fd=4",
          "-serial",
          "chardev:console",
          "-device",
          "pvpanic-pci"});
}

TEST_CASE("argv: a microvm gets ACPI, modern virtio-mmio and the host's clock rate") {
  auto c = plain_config();
  c.machine_type = "microvm";
  c.devices = {vsock_device{"vsock0", "/run/v.sock", ""},
               fs_device{"fs0", "/run/f.sock", "share", 512}};
  const auto argv = command_line(c, host);
  CHECK(value_of(argv, "-machine") == "microvm,acpi=on,memory-backend=ram");
  CHECK(value_of(argv, "-global") == "virtio-mmio.force-legacy=false");
  CHECK(value_of(argv, "-append") == "quiet panic=-1 oops=panic cryptomgr.notests console=ttyS0 "
                                     "tsc_early_khz=2600000 mitigations=off no_timer_check");
  CHECK(value_of(argv, "-device", "vhost-user-vsock") ==
        "vhost-user-vsock-device,id=vsock0,chardev=vsock0-be");
  CHECK(value_of(argv, "-device", "vhost-user-fs") ==
        "vhost-user-fs-device,id=fs0,chardev=fs0-be,tag=share,queue-size=512");
  CHECK(value_of(argv, "-device", "pvpanic").empty());
}

TEST_CASE("argv: KVM keeps the mitigations and avoids the MSR that QEMU dies of") {
  auto c = plain_config();
  c.accel = accelerator::kvm;
  const auto argv = command_line(c, host);
  CHECK(value_of(argv, "-accel") == "kvm");
  CHECK(value_of(argv, "-cpu") == "host,-arch-capabilities");
  CHECK(value_of(argv, "-append").find("mitigations") == std::string::npos);
  c.cpu_model = "Nehalem,+rdrand";
  CHECK(value_of(command_line(c, host), "-cpu") == "Nehalem,+rdrand");
}

TEST_CASE("argv: every device has its backend; taps are numbered in their order") {
  auto c = plain_config();
  c.devices = {
      net_device{"n0", 40, "02:00:00:00:00:01"}, block_device{"b0", "/img/a,b", true, "ser"},
      net_device{"n1", 30, "02:00:00:00:00:02"}, vsock_device{"vsock0", "/run/v.sock", ""}};
  const auto argv = command_line(c, host);
  CHECK(value_of(argv, "-netdev", "tap,id=n0") == "tap,id=n0-be,fd=5");
  CHECK(value_of(argv, "-netdev", "tap,id=n1") == "tap,id=n1-be,fd=6");
  CHECK(value_of(argv, "-device", "virtio-net-pci,id=n1") ==
        "virtio-net-pci,id=n1,netdev=n1-be,mac=02:00:00:00:00:02,romfile=");
  CHECK(value_of(argv, "-blockdev") ==
        "driver=raw,node-name=b0-be,read-only=on,file.driver=file,file.filename=/img/a,,b");
  CHECK(value_of(argv, "-device", "virtio-blk") == "virtio-blk-pci,id=b0,drive=b0-be,serial=ser");
  CHECK(value_of(argv, "-chardev", "socket,id=vsock0") == "socket,id=vsock0-be,path=/run/v.sock");
  CHECK(tap_fds(c) == std::vector{40, 30});
}

TEST_CASE("argv: spare ports, spare processors and the balloon appear when asked for") {
  auto c = plain_config();
  c.vcpus = 2;
  c.max_vcpus = 4;
  c.spare_ports = 2;
  c.balloon = true;
  c.console = false;
  c.kernel_params = "console=hvc0 quiet";
  const auto argv = command_line(c, host);
  CHECK(value_of(argv, "-smp") == "2,maxcpus=4,sockets=4,cores=1,threads=1");
  CHECK(value_of(argv, "-device", "pcie-root-port,id=rp1") ==
        "pcie-root-port,id=rp1,chassis=2,slot=2");
  CHECK(value_of(argv, "-device", "virtio-balloon") == "virtio-balloon-pci,id=balloon");
  CHECK(value_of(argv, "-serial").empty());
  CHECK(value_of(argv, "-append") == "quiet panic=-1 oops=panic cryptomgr.notests reboot=k "
                                     "mitigations=off no_timer_check console=hvc0 quiet");
}

TEST_CASE("machine: a sound configuration passes") {
  CHECK(check(plain_config()));
}

namespace {

struct bad_value {
  const char* key;
  errc code;
  std::function<void(machine_config&)> spoil;
};

void refuses(const std::vector<bad_value>& all) {
  for (const auto& [key, code, spoil] : all) {
    auto c = plain_config();
    spoil(c);
    CAPTURE(key);
    const auto checked = check(c);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code == code);
    CHECK_THAT(checked.error().text, Catch::StartsWith(key));
  }
}

constexpr auto invalid = errc::invalid_argument;

} // namespace

TEST_CASE("machine: each bad value is refused with its key") {
  refuses({
      {"id", invalid, [](auto& c) { c.id = "a,b"; }},
      {"token", invalid, [](auto& c) { c.token = ""; }},
      {"path", invalid, [](auto& c) { c.binary = "qemu"; }},
      {"kernel", invalid, [](auto& c) { c.kernel = ""; }},
      {"initrd", invalid, [](auto& c) { c.initrd = "x"; }},
      {"machine_type", invalid, [](auto& c) { c.machine_type = "pc"; }},
      {"cpu_model", invalid, [](auto& c) { c.cpu_model = "max -device evil"; }},
      {"kernel_params", invalid, [](auto& c) { c.kernel_params = "a\nb"; }},
      {"kernel_params", invalid, [](auto& c) { c.kernel_params = std::string(3000, 'x'); }},
      {"default_vcpus", invalid, [](auto& c) { c.vcpus = 0; }},
      {"default_vcpus", invalid, [](auto& c) { c.vcpus = 65; }},
      {"default_maxvcpus", invalid, [](auto& c) { c.vcpus = 2, c.max_vcpus = 1; }},
      {"default_memory", invalid, [](auto& c) { c.memory = mib(63); }},
      {"default_memory", invalid, [](auto& c) { c.memory = mib(256) + 1; }},
      {"default_memory", invalid, [](auto& c) { c.memory = mib(257), c.hugepages = true; }},
      {"pcie_root_port", invalid, [](auto& c) { c.spare_ports = 9; }},
      {"pcie_root_port", errc::unimplemented,
       [](auto& c) { c.machine_type = "microvm", c.spare_ports = 1; }},
      {"default_maxvcpus", errc::unimplemented,
       [](auto& c) { c.machine_type = "microvm", c.max_vcpus = 2; }},
  });
}

TEST_CASE("machine: each bad device is refused with its field") {
  refuses({
      {"fs.tag", invalid,
       [](auto& c) {
         c.devices = {fs_device{"f", "/s", "a,b", 64}};
       }},
      {"fs.queue_size", invalid,
       [](auto& c) {
         c.devices = {fs_device{"f", "/s", "t", 65}};
       }},
      {"fs.socket_path", invalid,
       [](auto& c) {
         c.devices = {fs_device{"f", "s", "t", 64}};
       }},
      {"device id", invalid,
       [](auto& c) {
         c.devices = {vsock_device{"1,x", "/s", ""}};
       }},
      {"net.mac", invalid,
       [](auto& c) {
         c.devices = {net_device{"n", 3, "02:00"}};
       }},
      {"net.tap_fd", invalid,
       [](auto& c) {
         c.devices = {net_device{"n", -1, "02:00:00:00:00:01"}};
       }},
      {"block.serial", invalid,
       [](auto& c) {
         c.devices = {block_device{"b", "/x", false, std::string(21, 's')}};
       }},
      {"devices", errc::already_exists,
       [](auto& c) {
         c.devices = {vsock_device{"v", "/s", ""}, vsock_device{"v", "/t", ""}};
       }},
      {"devices", errc::resource_exhausted, [](auto& c) { c.devices.resize(17); }},
  });
}

TEST_CASE("machine: a missing or wrong file is refused with its key") {
  const scratch_folder folder;
  auto c = plain_config();
  c.binary = "/bin/true";
  c.kernel = "/bin/true"; // any 64-bit ELF file
  c.initrd = "/etc/passwd";
  c.run_directory = folder.path();
  REQUIRE(check_files(c));
  const auto text_with = [&](std::string machine_config::*key, const std::string& value) {
    auto changed = c;
    changed.*key = value;
    return check_files(changed).error().to_string();
  };
  CHECK(text_with(&machine_config::binary, "/no/qemu") ==
        "not_found: path: /no/qemu does not exist");
  CHECK(text_with(&machine_config::binary, "/etc/passwd") ==
        "invalid_argument: path: /etc/passwd is not executable");
  CHECK(text_with(&machine_config::kernel, "/no/k") == "not_found: kernel: /no/k does not exist");
  CHECK(text_with(&machine_config::kernel, "/etc/passwd") ==
        "invalid_argument: kernel: /etc/passwd is no 64-bit ELF image (a vmlinux is wanted)");
  CHECK(text_with(&machine_config::initrd, "/etc") ==
        "invalid_argument: initrd: /etc is no regular file");
  CHECK(text_with(&machine_config::run_directory, "/no") ==
        "not_found: run_directory: /no is no folder");
}

TEST_CASE("host: the clock rate is read from cpuinfo, odd texts give none") {
  CHECK(parse_tsc_khz("processor\t: 0\ncpu MHz\t\t: 2595.124\ncache size\t: 1 KB\n") == 2595124);
  CHECK(parse_tsc_khz("") == 0);
  CHECK(parse_tsc_khz("cpu MHz\t\t: fast\n") == 0);
  CHECK(parse_tsc_khz("cpu MHz\t\t: -5\n") == 0);
  CHECK(parse_tsc_khz("cpu MHz\t\t: 1e30\n") == 0);
}
