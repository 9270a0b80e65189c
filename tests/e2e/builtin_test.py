"""The built-in VMM through containerd: machines on this host's KVM, within the daemon."""

import os
import pathlib
import subprocess
import sys

import bed as testbed

# Static programs of glibc must not use wide registers where KVM emulates: the guest's kernel does
# not keep them (docs/guest_kernel.md). The guest's init has it from the command line.
NARROW = ("GLIBC_TUNABLES=glibc.cpu.hwcaps="
          "-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX_Fast_Unaligned_Load")


KERNEL = pathlib.Path(os.environ.get("TROUPE_BUILD", "")) / "guest/vmlinux-emulated"
SLOW = {"reconnect_timeout_ms": 240_000, "request_timeout_ms": 120_000}
PATIENCE = 300


def builtin(bed, **more):
    bed.configure(hypervisor="builtin", kernel=str(KERNEL), default_memory=128, agent=SLOW, **more)


def missing():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "no /dev/kvm"
    if not KERNEL.exists():
        return f"no {KERNEL}: run guest/kernel/build emulated build/guest"
    return None


def vmms(bed):
    """Processes of a VMM that any daemon of ours has as its child."""
    found = 0
    for task in (bed.home / "state/io.containerd.runtime.v2.task/default").glob("*/shim.pid"):
        found += int(subprocess.run(["pgrep", "-c", "-P", task.read_text()],
                                    capture_output=True).stdout)
    return found


def test_streams_and_exit_code(bed):
    builtin(bed)
    result = bed.run("c1", "sh", "-c", "echo out; echo err >&2; exit 7",
                     options=["--env", NARROW], patience=PATIENCE)
    assert (result.returncode, result.stdout) == (7, b"out\n"), result
    assert b"err\n" in result.stderr, result


def test_execs_files_and_no_other_process(bed):
    builtin(bed)
    folder = bed.home / "volume"
    folder.mkdir()
    (folder / "there").write_bytes(bytes(range(256)) * 64)
    mount = ["--mount", f"type=bind,src={folder},dst=/mnt,options=rbind:rw"]
    bed.start("c1", "sleep", "1000", options=["--env", NARROW, *mount])
    assert vmms(bed) == 0, "the machine is within the daemon"
    kernel = bed.exec("c1", "e1", "uname", "-r", check=True).stdout.decode().strip()
    assert kernel.endswith("-troupe") and kernel != os.uname().release, kernel
    result = bed.exec("c1", "e2", "sh", "-c", "cat; cp /mnt/there /mnt/back; exit 3",
                      stdin=b"hi\n", patience=PATIENCE)
    assert (result.returncode, result.stdout) == (3, b"hi\n"), result
    assert (folder / "back").read_bytes() == (folder / "there").read_bytes()
    bed.remove("c1")


def test_two_processors(bed):
    builtin(bed, default_vcpus=2)
    # Where a process is, it reads in its own stat: field 39.
    script = ("nproc; grep -c ^processor /proc/cpuinfo; "
              "for mask in 1 2; do taskset $mask cut -d' ' -f39 /proc/self/stat; done")
    result = bed.run("c1", "sh", "-c", script, options=["--env", NARROW], patience=PATIENCE)
    assert (result.returncode, result.stdout) == (0, b"2\n2\n0\n1\n"), result


def test_actors_killed(bed):
    for actor in ("machine", "vcpu0", "vsock", "fs"):
        builtin(bed, faults=f"actor:root/sandbox:*/machine/{actor}:* kill @1")
        result = bed.run("c1", "sh", "-c", "echo out; exit 7", options=["--env", NARROW],
                         patience=PATIENCE)
        assert (result.returncode, result.stdout) == (7, b"out\n"), (actor, result)


if __name__ == "__main__":
    if missing():
        print("SKIPPED:", missing())
        sys.exit(77)
    testbed.main(dict(globals()))
