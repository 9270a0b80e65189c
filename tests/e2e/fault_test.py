"""Actors that are killed while they work: containerd and the container must not notice."""

import bed as testbed

# Every actor of a pod, and which of its messages are hit: the first ones come during the boot,
# later ones while the container runs.
ACTORS = {
    "machine": (1,),
    "vsock": (1,),
    "fs": (1,),
    "devices": (1,),
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
    for effect in ("attach*vsock", "attach*fs", "prepare", "start*machine"):
        bed.configure(faults=f"fx:{effect}* fail(EIO) @1")
        result = bed.run("c1", "true")
        assert result.returncode != 0 and b"fault plan" in result.stderr, (effect, result)
        bed.ctr("container", "rm", "c1", check=False)


if __name__ == "__main__":
    testbed.main(dict(globals()))
