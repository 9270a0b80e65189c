#!/usr/bin/python3
"""What our runs leave on a host: a picture before, a picture after, and the difference.

usage: leftovers.py snapshot FILE
       leftovers.py compare FILE      exit status 1: something is left

Looked at: our processes, mounts in every mount namespace, named network namespaces, taps, cgroups,
sockets and fifos in our folders and containerd's, loop devices. A peer's own are not counted.
"""

import glob
import json
import os
import stat
import sys

OURS = ("shim-daemon", "containerd-shim-troupe", "qemu-system", "troupe-agent", "troupectl")
FOLDERS = ("/run/troupe", "/run/containerd/fifo", "/run/containerd/s", "/dev/shm")


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def processes():
    """Zombies do not count: this host's first process reaps late."""
    found = set()
    for path in glob.glob("/proc/[0-9]*/stat"):
        status = read(path).decode(errors="replace")
        if not status or status.rsplit(")", 1)[1].split()[0] == "Z":
            continue
        pid = path.split("/")[2]
        command = read(f"/proc/{pid}/cmdline").split(b"\0")[0].decode(errors="replace")
        if any(name in os.path.basename(command) for name in OURS):
            found.add(f"process {pid} {command}")
    return found


def mounts():
    seen, found = set(), set()
    for path in glob.glob("/proc/[0-9]*/ns/mnt"):
        try:
            space = os.readlink(path)
        except OSError:
            continue
        if space in seen:
            continue
        seen.add(space)
        for line in read(path.replace("ns/mnt", "mountinfo")).decode(errors="replace").splitlines():
            fields = line.split()
            if "troupe" in fields[4] or "io.containerd.runtime.v2.task" in fields[4]:
                found.add(f"mount {fields[4]} in {space}")
    return found


def names(kind, pattern):
    return {f"{kind} {path}" for path in glob.glob(pattern)}


def cgroups():
    return {
        f"cgroup {folder}"
        for folder, _, _ in os.walk("/sys/fs/cgroup")
        if "troupe" in os.path.basename(folder)
    }


def files():
    roots = set(FOLDERS)
    if "TROUPE_RUN_DIR" in os.environ:
        roots.add(os.environ["TROUPE_RUN_DIR"])
    found = set()
    for root in roots:
        for folder, _, entries in os.walk(root):
            for entry in entries:
                path = os.path.join(folder, entry)
                if os.path.basename(path) == "kvm-probe":  # a cache, kept on purpose
                    continue
                try:
                    mode = os.lstat(path).st_mode
                except OSError:
                    continue
                kinds = {stat.S_IFSOCK: "socket", stat.S_IFIFO: "fifo"}
                kind = kinds.get(stat.S_IFMT(mode), "file")
                found.add(f"{kind} {path}")
    return found


def taps():
    return {
        f"tap {path.split('/')[4]}" for path in glob.glob("/sys/class/net/*/tun_flags")
    }


def loops():
    return {
        f"loop {path.split('/')[3]} on {read(path).decode().strip()}"
        for path in glob.glob("/sys/block/loop*/loop/backing_file")
    }


def snapshot():
    spaces = names("netns", "/run/netns/*")
    return processes() | mounts() | spaces | taps() | cgroups() | files() | loops()


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("snapshot", "compare"):
        sys.exit(__doc__)
    if sys.argv[1] == "snapshot":
        with open(sys.argv[2], "w") as file:
            json.dump(sorted(snapshot()), file)
        return 0
    with open(sys.argv[2]) as file:
        left = sorted(snapshot() - set(json.load(file)))
    print("\n".join(left))
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
