"""Containers through containerd: streams, exit codes, execs, signals, events, files."""

import fcntl
import os
import pathlib
import pty
import select
import struct
import subprocess
import termios
import time

import bed as testbed


def test_streams_and_exit_code(bed):
    result = bed.run("c1", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert result.returncode == 7, result
    assert result.stdout == b"out\n", result
    assert b"err\n" in result.stderr, result


def test_guest_kernel_is_not_the_hosts(bed):
    release = bed.run("c1", "uname", "-r", check=True).stdout.decode().strip()
    assert release != os.uname().release and release.endswith("-troupe"), release


def test_output_before_exit_is_whole(bed):
    result = bed.run("c1", "sh", "-c", "dd if=/dev/zero bs=1M count=10 2>/dev/null", check=True)
    assert len(result.stdout) == 10 << 20, len(result.stdout)


def test_native_snapshotter(bed):
    result = bed.run("c1", "cat", "/etc/passwd", options=["--snapshotter", "native"], check=True)
    assert result.stdout.startswith(b"root:x:0:0"), result


def test_execs(bed):
    bed.start("c1", "sleep", "1000")
    result = bed.exec("c1", "e1", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (result.returncode, result.stdout) == (3, b"out\n"), result
    assert b"err\n" in result.stderr, result
    result = bed.exec("c1", "e2", "cat", stdin=b"hi\n")
    assert (result.returncode, result.stdout) == (0, b"hi\n"), result
    began = time.monotonic()
    result = bed.exec("c1", "e3", "no-such-command")
    assert result.returncode != 0 and b"no-such-command" in result.stderr, result
    assert time.monotonic() - began < 10, "a missing command must fail at once"
    bed.remove("c1")


def on_terminal(bed, *words, rows=40, columns=100):
    """`ctr` on a terminal of its own: what it printed, and its exit code."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        ["ctr", "-a", str(bed.socket), *words], stdin=its, stdout=its, stderr=its,
        start_new_session=True,
    )
    os.close(its)
    said = b""
    while select.select([ours], [], [], testbed.PATIENCE)[0]:
        try:
            said += os.read(ours, 4096)
        except OSError:  # EIO: the last writer is gone
            break
    os.close(ours)
    return said, process.wait(10)


def test_terminals(bed):
    bed.start("c1", "sleep", "1000")
    script = "tty; stty size; test -t 0 && test -t 2 && exit 5"
    said, status = on_terminal(bed, "task", "exec", "-t", "--exec-id", "e1", "c1", "sh", "-c",
                               script)
    assert b"/dev/pts/" in said and b"40 100" in said and status == 5, (said, status)
    bed.remove("c1")
    said, status = on_terminal(bed, "run", "--rm", "-t", "--runtime", testbed.RUNTIME,
                               testbed.IMAGE, "c2", "sh", "-c", "tty; exit 6")
    assert b"/dev/" in said and status == 6, (said, status)


def test_kill_and_delete(bed):
    bed.start("c1", "sleep", "1000")
    assert "RUNNING" in bed.status("c1")
    refused = bed.ctr("task", "delete", "c1", check=False)
    assert refused.returncode != 0, "a running task must not be deleted"
    bed.ctr("task", "kill", "-s", "SIGKILL", "c1")
    bed.wait_for(lambda: "STOPPED" in bed.status("c1"), "STOPPED")
    again = bed.ctr("task", "kill", "c1", check=False)
    assert b"not found" in again.stderr or b"finished" in again.stderr, again
    bed.remove("c1")


def test_events_once_and_in_order(bed):
    events = bed.events()
    bed.start("c1", "sleep", "1000")
    bed.exec("c1", "e1", "true", check=True)
    bed.remove("c1")
    bed.wait_for(lambda: any(topic == "/tasks/delete" for topic, _ in events.seen), "delete event")
    events.close()
    seen = [(t, e) for t, e in events.seen if e["container_id"] == "c1"]
    mine = [(t, e.get("exec_id") or e.get("id", "")) for t, e in seen]
    init = [t for t, who in mine if who in ("", "c1")]
    added = [t for t, who in mine if who == "e1"]
    assert init == ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"], mine
    assert added == ["/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"], mine


def test_files_both_ways(bed):
    folder = bed.home / "volume"
    (folder / "sub").mkdir(parents=True)
    data = bytes(range(256)) * 4096
    (folder / "sub/data").write_bytes(data)
    os.chmod(folder / "sub/data", 0o640)
    os.utime(folder / "sub/data", ns=(10**18 + 1, 10**18 + 2))
    os.symlink("sub/data", folder / "link")
    mount = f"type=bind,src={folder},dst=/mnt,options=rbind:rw"
    script = (
        "cd /mnt; cat link; stat -c '%a %Y' sub/data >&2; cp -p sub/data copy; ln copy hard; "
        "echo back > back; chmod 4711 back"
    )
    result = bed.run("c1", "sh", "-c", script, options=["--mount", mount], check=True)
    assert result.stdout == data
    assert b"640 1000000000" in result.stderr, result.stderr
    assert (folder / "copy").read_bytes() == data
    assert (folder / "copy").stat().st_nlink == 2
    assert (folder / "copy").stat().st_mode & 0o7777 == 0o640
    assert (folder / "back").read_text() == "back\n"
    assert (folder / "back").stat().st_mode & 0o7777 == 0o4711


def test_read_only_volume(bed):
    folder = bed.home / "read-only"
    folder.mkdir()
    mount = f"type=bind,src={folder},dst=/mnt,options=rbind:ro"
    result = bed.run("c1", "touch", "/mnt/x", options=["--mount", mount])
    assert result.returncode != 0 and b"Read-only" in result.stderr, result
    assert not list(pathlib.Path(folder).iterdir())
    # The guest's root can make the mount writable in its own eyes; the host stays firm.
    script = "mount -o remount,rw /mnt; touch /mnt/x"
    result = bed.run("c2", "sh", "-c", script, options=["--privileged", "--mount", mount])
    assert result.returncode != 0 and b"Read-only" in result.stderr, result
    assert not list(pathlib.Path(folder).iterdir())


if __name__ == "__main__":
    testbed.main(dict(globals()))
