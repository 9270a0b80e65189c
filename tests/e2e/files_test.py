"""Host files in a container and back: whole trees, attributes, and very many of them."""

import os
import pathlib
import shutil
import subprocess
import threading

import bed as testbed

FOLDERS, FILES = 200, 1000
BUDGET = 1000  # descriptors that the file server may hold


def attribute_tools(folder):
    """setfattr and getfattr with their libraries: busybox has neither."""
    folder.mkdir()
    names = set()
    for tool in ("setfattr", "getfattr"):
        path = shutil.which(tool)
        names.add(path)
        for line in subprocess.check_output(["ldd", path], text=True).splitlines():
            names |= {word for word in line.split() if word.startswith("/")}
    for name in names:
        shutil.copy(name, folder)
    loader = next(path.name for path in folder.iterdir() if path.name.startswith("ld-linux"))
    return f"/tools/{loader} --library-path /tools /tools/"


def bind(source, target, how="rw"):
    return ["--mount", f"type=bind,src={source},dst={target},options=rbind:{how}"]


def plant(folder):
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/data").write_bytes(bytes(range(256)) * 8192)
    (folder / "a/empty").touch()
    (folder / "a/b/name with \xff blanks").write_text("x")
    os.link(folder / "a/data", folder / "a/b/hard")
    os.symlink("../a/data", folder / "a/b/soft")
    os.symlink("nowhere", folder / "dangling")
    os.mkfifo(folder / "a/fifo")
    (folder / "sparse").open("wb").truncate(1 << 30)
    (folder / "setuid").write_text("x")
    os.chown(folder / "setuid", 1000, 1001)
    os.chmod(folder / "setuid", 0o6751)
    os.chmod(folder / "a/b", 0o1770)
    os.setxattr(folder / "a/data", "user.mark", b"\x00\x01 binary")
    for path in (folder / "a/data", folder / "a/b", folder / "setuid"):
        os.utime(path, ns=(10**18 + 123456789, 10**18 + 987654321))


def picture(folder):
    """Everything that a copy must keep, by name."""
    seen = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        whole = [about.st_mode, about.st_uid, about.st_gid, about.st_nlink]
        if path.is_symlink():
            whole.append(os.readlink(path))
        else:
            whole.append({name: os.getxattr(path, name) for name in os.listxattr(path)})
        if path.is_file() and not path.is_symlink():
            whole += [about.st_size, about.st_mtime_ns]
            whole.append(path.read_bytes() if about.st_size < 1 << 24 else None)
        seen[str(path.relative_to(folder))] = whole
    return seen


def test_a_tree_there_and_back(bed):
    there, back = bed.home / "there", bed.home / "back"
    plant(there)
    back.mkdir()
    tools = attribute_tools(bed.home / "tools")
    # busybox's tar keeps all but attributes; those are carried over by hand.
    script = (
        "cd /there && tar c a dangling setuid | tar x -p -C /back && dd if=sparse of=/back/sparse "
        "bs=1M seek=1023 skip=1023 2>/dev/null && stat -c '%a %u %g %h %s' a/data setuid a/b; "
        f"v=$({tools}getfattr --only-values -n user.mark a/data | md5sum); echo $v; "
        f"{tools}setfattr -n user.mark -v 0sAAEgYmluYXJ5 /back/a/data && "
        "touch -r setuid /back/setuid"
    )
    options = [*bind(there, "/there", "ro"), *bind(back, "/back"),
               *bind(bed.home / "tools", "/tools", "ro")]
    result = bed.run("c1", "sh", "-c", script, options=options, check=True)
    said = result.stdout.decode().split("\n")
    assert said[:3] == ["644 0 0 2 2097152", "6751 1000 1001 1 1", "1770 0 0 2 4096"], said
    wanted, got = picture(there), picture(back)
    for whole in (wanted, got):  # tar keeps whole seconds
        for one in whole.values():
            if len(one) > 6:
                one[6] = one[6] // 10**9
        whole["sparse"][6] = None
    assert wanted.keys() == got.keys(), wanted.keys() ^ got.keys()
    for name, one in wanted.items():
        assert one == got[name], (name, one[:5], got[name][:5])
    for folder in (there, back, bed.home / "tools"):
        shutil.rmtree(folder)


def test_times_reach_the_guest_whole(bed):
    folder = bed.home / "times"
    folder.mkdir()
    (folder / "x").touch()
    os.utime(folder / "x", ns=(10**18 + 1, 10**18 + 987654321))
    result = bed.run("c1", "sh", "-c", "stat -c %y /t/x; touch -d @7 /t/y",
                     options=bind(folder, "/t"), check=True)
    assert b".987654321" in result.stdout, result
    assert (folder / "y").stat().st_mtime_ns == 7 * 10**9
    shutil.rmtree(folder)


class DescriptorWatch:
    """The most descriptors that a pod's daemon had open at any moment."""

    def __init__(self, bed, name):
        task = bed.home / "state/io.containerd.runtime.v2.task/default" / name
        self.folder = f"/proc/{(task / 'shim.pid').read_text()}/fd"
        self.most, self.over = 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, len(os.listdir(self.folder)))

    def end(self):
        self.over.set()
        self.thread.join()
        return self.most


def test_two_hundred_thousand_files(bed):
    folder = bed.home / "many"
    for i in range(FOLDERS):
        (folder / f"d{i}").mkdir(parents=True)
        for j in range(FILES):
            os.close(os.open(folder / f"d{i}/f{j}", os.O_CREAT | os.O_WRONLY, 0o644))
    bed.start("c1", "sleep", "1000", options=bind(folder, "/many", "ro"))
    watch = DescriptorWatch(bed, "c1")
    counted = bed.exec("c1", "e1", "sh", "-c", "find /many -type f | wc -l; ls -lR /many | wc -l",
                       check=True, patience=600)
    most = watch.end()
    assert counted.stdout.split()[0] == b"%d" % (FOLDERS * FILES), counted
    assert most < BUDGET + 200, f"{most} descriptors"
    print(f"   descriptors: {most}")
    bed.remove("c1")
    shutil.rmtree(folder)


if __name__ == "__main__":
    testbed.main(dict(globals()))
