"""troupectl: containers without containerd, and what it tells of a host."""

import glob
import io
import json
import os
import signal
import subprocess
import tarfile
import time

import bed as testbed


def rootfs(bed):
    folder = bed.home / "rootfs"
    if not folder.exists():
        with tarfile.open(fileobj=io.BytesIO(testbed.busybox_layer())) as tar:
            tar.extractall(folder)
    return folder


def start(bed, *words, **more):
    environment = dict(os.environ, TROUPE_CONF_FILE=str(bed.config))
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [bed.build / "bin/troupectl", *map(str, words)],
        env=environment, stdin=more.get("stdin", pipe), stdout=pipe, stderr=pipe,
    )


def ctl(bed, *words, stdin=b""):
    process = start(bed, *words)
    out, err = process.communicate(stdin, timeout=testbed.PATIENCE)
    assert not glob.glob("/tmp/troupectl-*"), "a private folder is left"
    return process.returncode, out, err


def run(bed, *command, options=(), **more):
    return ctl(bed, "run", "--rootfs", rootfs(bed), *options, "--", *command, **more)


def test_streams_and_exit_code(bed):
    status, out, err = run(bed, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (status, out, err) == (7, b"out\n", b"err\n"), (status, out, err)


def test_input_environment_and_folder(bed):
    options = ["-e", "A=b", "--cwd", "/tmp"]
    status, out, err = run(bed, "sh", "-c", "cat; echo $A; pwd", options=options, stdin=b"hi\n")
    assert (status, out) == (0, b"hi\nb\n/tmp\n"), (status, out, err)


def test_image(bed):
    image = bed.home / "image.tar"
    status, out, err = ctl(bed, "run", "--image", image, "--", "cat", "/etc/passwd")
    assert status == 0 and out.startswith(b"root:x:0:0"), (status, out, err)


def test_failures_are_named(bed):
    status, _, err = run(bed, "no-such-command")
    assert status == 125 and b"no-such-command" in err, (status, err)
    status, _, err = ctl(bed, "run", "--rootfs", "/no/such", "--", "true")
    assert status == 125 and b"--rootfs: /no/such" in err, (status, err)
    bed.configure(kernel="/no/such/kernel")
    status, _, err = run(bed, "true", options=["--json"])
    assert status == 125, (status, err)
    error = json.loads(err.decode().strip().splitlines()[-1])["error"]
    assert error["code"] == "invalid_argument" and "/no/such/kernel" in error["text"], error


def test_a_signal_is_the_workloads(bed):
    script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    process = start(bed, "run", "--rootfs", rootfs(bed), "--", "sh", "-c", script)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=testbed.PATIENCE)
    assert process.returncode == 9, (process.returncode, err)


def test_ps_exec_and_kill(bed):
    process = start(bed, "run", "--id", "p1", "--rootfs", rootfs(bed), "--", "sh", "-c",
                    "echo ready; exec sleep 1000")
    assert process.stdout.readline() == b"ready\n"
    pods = json.loads(subprocess.check_output([bed.build / "bin/troupectl", "ps", "--json"]))
    mine = [pod for pod in pods if pod["pod"] == "p1"]
    assert len(mine) == 1 and mine[0]["alive"] and mine[0]["pid"] == process.pid, pods
    inner = start(bed, "exec", "p1", "--", "sh", "-c", "cat; echo err >&2; exit 3")
    out, err = inner.communicate(b"hi\n", timeout=testbed.PATIENCE)
    assert (inner.returncode, out, err) == (3, b"hi\n", b"err\n"), (inner.returncode, out, err)
    killed = start(bed, "kill", "-s", "KILL", "p1")
    assert killed.wait(testbed.PATIENCE) == 0, killed.stderr.read()
    process.communicate(timeout=testbed.PATIENCE)
    assert process.returncode == 137, process.returncode


def test_exec_into_a_pod_of_containerd(bed):
    bed.start("c1", "sleep", "1000")
    pods = json.loads(subprocess.check_output([bed.build / "bin/troupectl", "ps", "--json"]))
    name = next(pod["pod"] for pod in pods if pod["pod"].startswith("c1-"))
    inner = start(bed, "exec", name, "--", "echo", "in")
    out, err = inner.communicate(timeout=testbed.PATIENCE)
    assert (inner.returncode, out) == (0, b"in\n"), (inner.returncode, out, err)
    bed.remove("c1")


def test_sweep_undoes_what_a_killed_pod_left(bed):
    process = start(bed, "run", "--id", "p1", "--rootfs", rootfs(bed), "--", "sh", "-c",
                    "echo ready; exec sleep 1000")
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait()
    time.sleep(0.2)
    swept = subprocess.run([bed.build / "bin/troupectl", "sweep"], capture_output=True)
    assert swept.returncode == 0 and b"pods/p1: undid" in swept.stdout, swept
    for folder in glob.glob("/tmp/troupectl-*"):  # nobody's journal tells of it
        subprocess.run(["rm", "-rf", folder], check=True)


def test_check(bed):
    status, out, err = ctl(bed, "check", "--json")
    report = json.loads(out)
    assert status == 0 and report["can_run"], (status, out, err)
    bed.configure(kernel="/no/such/kernel")
    status, out, _ = ctl(bed, "check")
    assert status == 1 and b"/no/such/kernel" in out, (status, out)


if __name__ == "__main__":
    testbed.main(dict(globals()))
