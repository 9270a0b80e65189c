"""Several containers in one machine, and machines side by side."""

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import time

import bed as testbed


def in_pod(kind, pod="p1"):
    """Options that make a container the pod's first one, or a further one, as CRI says it."""
    keys = {"io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.sandbox-id": pod}
    return [word for key, value in keys.items() for word in ("--annotation", f"{key}={value}")]


def start(bed, name, kind, *command, options=()):
    return bed.start(name, *command, options=[*in_pod(kind), *options])


def machines(*names):
    """How many VMMs run for pods of these names."""
    pattern = f"^/usr/bin/qemu-system.*/pods/({'|'.join(names)})-"
    return int(subprocess.run(["pgrep", "-fc", pattern], capture_output=True).stdout)


def test_containers_share_a_machine(bed):
    start(bed, "p1", "sandbox", "sleep", "1000")
    start(bed, "c1", "container", "sh", "-c", "hostname pod; exec sleep 1000")
    start(bed, "c2", "container", "sleep", "1000")
    assert machines("p1", "c1", "c2") == 1, "one machine for the pod"
    # A network namespace and a host name of the pod, process ids of one's own.
    seen = bed.exec("c2", "e1", "sh", "-c", "hostname; ps | wc -l", check=True).stdout.split()
    assert int(seen[-1]) <= 5, seen
    bed.remove("c2")
    assert "RUNNING" in bed.status("c1") and "RUNNING" in bed.status("p1")
    bed.exec("c1", "e2", "true", check=True)
    bed.remove("c1")
    bed.remove("p1")
    assert machines("p1", "c1", "c2") == 0


def daemon_of(bed, name):
    task = bed.home / "state/io.containerd.runtime.v2.task/default" / name
    return int((task / "shim.pid").read_text())


def test_a_container_that_ends_while_its_files_are_being_closed(bed):
    """Linux that unmounts a share whose answers it awaits uses freed memory, and may die of it."""
    def tainted():
        return bed.exec("p1", "e1", "cat", "/proc/sys/kernel/tainted", check=True).stdout

    start(bed, "p1", "sandbox", "sleep", "1000")
    assert tainted() == b"0\n"
    start(bed, "c1", "container", "sh", "-c", "sleep 2; exit 5")
    daemon = daemon_of(bed, "p1")
    os.kill(daemon, signal.SIGSTOP)
    time.sleep(4)  # it has ended, and nobody answers for its files
    os.kill(daemon, signal.SIGCONT)
    bed.wait_for(lambda: "STOPPED" in bed.status("c1"), "STOPPED", patience=30)
    assert b"exit code 5" in bed.ctr("task", "delete", "c1", check=False).stderr
    bed.ctr("container", "rm", "c1")
    assert tainted() == b"0\n", "the guest's kernel complained"
    bed.remove("p1")


def disk(bed):
    """A file system of its own, mounted: whoever holds a file of it keeps its loop device."""
    image, folder = bed.home / "disk", bed.home / "disk-root"
    folder.mkdir()
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    (folder / "bin").mkdir()
    (folder / "bin/busybox").write_bytes(pathlib.Path("/bin/busybox").read_bytes())
    (folder / "bin/busybox").chmod(0o755)
    (folder / "bin/sh").symlink_to("busybox")
    for name in "proc sys dev run tmp etc".split():
        (folder / name).mkdir()
    return image, folder


def loop_of(image):
    return subprocess.check_output(["losetup", "-j", str(image)], text=True).strip()


def test_a_deleted_container_lets_its_root_be_unmounted(bed):
    image, folder = disk(bed)
    start(bed, "p1", "sandbox", "sleep", "1000")
    try:
        words = ["run", "-d", "--runtime", testbed.RUNTIME, *in_pod("container"), "--rootfs"]
        script = "busybox find / -xdev >/dev/null; exec busybox sleep 1000"
        bed.ctr(*words, folder, "c1", "/bin/sh", "-c", script)
        bed.exec("c1", "e1", "/bin/sh", "-c", "exec 3>/etc/held; exec busybox true", check=True)
        assert (folder / "etc/held").exists()
        bed.remove("c1")
        assert "RUNNING" in bed.status("p1"), "the pod lives on"
    finally:
        subprocess.run(["umount", folder], check=True)
    # The last reference went with the mount: the kernel let go of the loop device by itself.
    bed.wait_for(lambda: not loop_of(image), "the loop device to be free", patience=2)
    bed.remove("p1")
    image.unlink()
    folder.rmdir()


def test_base_image_stays_as_it_is(bed):
    def picture():
        folder = bed.home / "root/io.containerd.snapshotter.v1.overlayfs/snapshots"
        layers = sorted(folder.iterdir(), key=lambda path: int(path.name))
        return subprocess.check_output(
            ["tar", "-c", "--sort=name", "-C", layers[0] / "fs", "."]
        )

    before = picture()
    script = "echo changed >/etc/passwd; rm /bin/vi; mkdir /new; ln -s / /bin/up; chmod 0 /tmp"
    bed.run("c1", "sh", "-c", script, check=True)
    assert picture() == before, "a guest's writes reached the image"
    result = bed.run("c1", "cat", "/etc/passwd", check=True)
    assert result.stdout.startswith(b"root:x:0:0"), result


def test_links_that_the_guest_planted_move_no_mount(bed):
    """CVE-2020-2024: what is undone on the host must not follow what the guest left there."""

    def mounts():
        return pathlib.Path("/proc/self/mountinfo").read_text()

    before = mounts()
    script = "rm -rf /mnt /var 2>/dev/null; for n in mnt var home x; do ln -s / /$n; done; true"
    bed.run("c1", "sh", "-c", script)
    bed.run("c2", "sh", "-c", script, options=["--snapshotter", "native"])
    assert mounts() == before


def test_thirty_one_after_the_other(bed):
    for i in range(30):
        result = bed.run(f"s{i}", "sh", "-c", f"echo {i}; exit {i}")
        assert (result.returncode, result.stdout) == (i, b"%d\n" % i), result


def test_four_at_once(bed):
    def one(i):
        return bed.run(f"m{i}", "sh", "-c", f"sleep 1; echo {i}; exit {i}")

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(one, range(4)))
    for i, result in enumerate(results):
        assert (result.returncode, result.stdout) == (i, b"%d\n" % i), result
    print(f"   four at once: {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    testbed.main(dict(globals()))
