"""Actors that are killed while they work: containerd and the container must not notice."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

import bed as testbed

# Every actor of a pod, and which of its messages are hit: the first ones come during the boot,
# later ones while the container runs.
ACTORS = {
    "machine/machine": (1,),
    "machine/vsock": (1,),
    "machine/fs": (1,),
    "machine/rng": (1,),
    "machine/devices": (1,),
    "sharefs": (1, 2),
    "agent": (1, 2, 3),
    "sandbox": (1, 2, 4),
    "container:*/container": (1, 2, 3),
    "container:*/init": (1, 2),
}


def test_every_actor_killed(bed):
    for actor, hits in ACTORS.items():
        for hit in hits:
            bed.configure(faults=f"actor:root/sandbox:*/{actor}:* kill @{hit}")
            result = bed.run("c1", "sh", "-c", "echo out; echo err >&2; exit 7")
            said = (result.returncode, result.stdout)
            assert said == (7, b"out\n"), (actor, hit, result)
            assert b"err\n" in result.stderr, (actor, hit, result)


def test_dispatcher_killed(bed):
    bed.configure(faults="actor:root/dispatcher:* kill @3")
    result = bed.run("c1", "sh", "-c", "echo out; exit 7")
    assert (result.returncode, result.stdout) == (7, b"out\n"), result


def test_an_actor_that_keeps_failing_ends_its_pod(bed):
    bed.configure(faults="actor:root/sandbox:*/agent:* kill @2+")
    result = bed.run("c1", "true")
    assert result.returncode != 0, result
    bed.ctr("container", "rm", "c1", check=False)


def test_a_host_that_fails(bed):
    """Each effect on the host refused once: the error names it, and nothing is left."""
    for effect in ("attach*vsock", "attach*fs", "attach*rng", "prepare", "start*machine"):
        bed.configure(faults=f"fx:{effect}* fail(EIO) @1")
        result = bed.run("c1", "true")
        assert result.returncode != 0 and b"fault plan" in result.stderr, (effect, result)
        bed.ctr("container", "rm", "c1", check=False)


def daemon_of(bed, name):
    task = bed.home / "state/io.containerd.runtime.v2.task/default" / name
    return int((task / "shim.pid").read_text())


def children_of(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]


def test_a_killed_machine(bed):
    events = bed.events()
    bed.start("c1", "sleep", "1000")
    (machine,) = children_of(daemon_of(bed, "c1"))
    began = time.monotonic()
    os.kill(machine, signal.SIGKILL)
    bed.wait_for(lambda: "STOPPED" in bed.status("c1"), "STOPPED", patience=5)
    assert time.monotonic() - began < 5
    deleted = bed.ctr("task", "delete", "c1", check=False)
    assert b"exit code 137" in deleted.stderr, deleted
    bed.ctr("container", "rm", "c1")
    bed.wait_for(lambda: any(t == "/tasks/delete" for t, _ in events.seen), "the delete event")
    events.close()
    exits = [e["exit_status"] for t, e in events.seen if t == "/tasks/exit"]
    assert exits == [137], events.seen


def test_a_guest_that_falls_silent(bed):
    """A kill that it does not answer is what ends it."""
    bed.configure(agent={"request_timeout_ms": 2000})
    bed.start("c1", "sleep", "1000")
    (machine,) = children_of(daemon_of(bed, "c1"))
    os.kill(machine, signal.SIGSTOP)
    began = time.monotonic()
    bed.ctr("task", "kill", "-s", "KILL", "c1", check=False)
    bed.wait_for(lambda: "STOPPED" in bed.status("c1"), "STOPPED", patience=20)
    assert time.monotonic() - began < 20
    assert b"exit code 137" in bed.ctr("task", "delete", "c1", check=False).stderr
    bed.ctr("container", "rm", "c1")


def test_a_killed_daemon(bed):
    """containerd runs our `delete`, which undoes what the journal tells of."""
    bed.start("c1", "sleep", "1000")
    os.kill(daemon_of(bed, "c1"), signal.SIGKILL)
    bed.wait_for(lambda: "c1" not in bed.ctr("task", "ls").stdout.decode()
                 or "STOPPED" in bed.status("c1"), "its end", patience=20)
    bed.ctr("task", "delete", "--force", "c1", check=False)
    bed.ctr("container", "rm", "c1", check=False)
    for fifo in pathlib.Path("/run/containerd/fifo").glob("*/c1-stdin"):
        shutil.rmtree(fifo.parent)  # ctr's own, who cannot know that its task is gone


def test_a_killed_containerd(bed):
    """The pod goes on without it, and the next containerd finds it again."""
    bed.start("c1", "sleep", "1000")
    bed.restart_containerd()
    assert "RUNNING" in bed.status("c1"), bed.status("c1")
    result = bed.exec("c1", "e1", "echo", "still here")
    assert result.stdout == b"still here\n", result
    bed.remove("c1")


if __name__ == "__main__":
    testbed.main(dict(globals()))
