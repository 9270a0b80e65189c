"""A test bed: a private containerd with our shim, an image made on the spot, and what is left.

A test file defines functions `test_...(bed)` and ends with `bed.main(globals())`. TROUPE_BUILD is
the build folder. Exit status 77: skipped, with the reason.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import leftovers  # noqa: E402

IMAGE = "docker.io/library/bb:1"
RUNTIME = "io.containerd.troupe.v2"
PATIENCE = 120  # seconds for one command: a guest under TCG on busy cores


def busybox_layer():
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:

        def add(path, data=None, mode=0o755, link=None):
            info = tarfile.TarInfo(path)
            info.mode = mode
            if link:
                info.type, info.linkname = tarfile.SYMTYPE, link
            elif data is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data) if data is not None else None)

        for folder in "bin etc proc sys dev tmp root var run mnt".split():
            add(folder)
        add("bin/busybox", pathlib.Path("/bin/busybox").read_bytes())
        for applet in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
            if applet != "busybox":
                add("bin/" + applet, link="busybox")
        add("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644)
    return raw.getvalue()


def write_image(path):
    layer = busybox_layer()
    blob = gzip.compress(layer, mtime=0)

    def digest(data):
        return hashlib.sha256(data).hexdigest()

    def described(kind, data, **more):
        return {
            "mediaType": "application/vnd.oci.image." + kind,
            "digest": "sha256:" + digest(data),
            "size": len(data),
            **more,
        }

    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(layer)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": described("config.v1+json", config),
            "layers": [described("layer.v1.tar+gzip", blob)],
        }
    ).encode()
    index = json.dumps(
        {
            "schemaVersion": 2,
            "manifests": [
                described(
                    "manifest.v1+json",
                    manifest,
                    annotations={"io.containerd.image.name": IMAGE},
                    platform={"architecture": "amd64", "os": "linux"},
                )
            ],
        }
    ).encode()
    with tarfile.open(path, "w") as tar:
        blobs = [("blobs/sha256/" + digest(b), b) for b in (config, manifest, blob)]
        layout = b'{"imageLayoutVersion":"1.0.0"}'
        for name, data in [("oci-layout", layout), ("index.json", index)] + blobs:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


class Bed:
    """One containerd of our own. Everything is below one temporary folder."""

    def __init__(self):
        self.build = pathlib.Path(os.environ["TROUPE_BUILD"]).resolve()
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="troupe-e2e-"))
        self.socket = self.home / "containerd.sock"
        self.netns = "troupe-" + self.home.name[-8:]
        self.config = self.home / "troupe.toml"
        self.containerd = None
        self.configure()

    def configure(self, agent=None, faults="", hypervisor="qemu", **changes):
        """Writes the shim's configuration; a value of None leaves a key out."""
        keys = {
            "kernel": str(self.build / "guest/vmlinux-product"),
            "initrd": str(self.build / "bin/initrd.cpio"),
            "allow_emulation": True,
            "default_memory": 256,
            **changes,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items() if value is not None]
        head = f'[runtime]\nhypervisor_name = "{hypervisor}"\nlog_level = "debug"'
        head += f"\nfault_plan = {json.dumps(faults)}\n[hypervisor.{hypervisor}]"
        tail = [f"{key} = {json.dumps(value)}" for key, value in (agent or {}).items()]
        self.config.write_text("\n".join([head, *lines, "[agent.troupe]", *tail, ""]))

    def up(self):
        (self.home / "containerd.toml").write_text(
            f'version = 2\nroot = "{self.home}/root"\nstate = "{self.home}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
            f'[grpc]\n  address = "{self.socket}"\n[debug]\n  level = "debug"\n'
        )
        subprocess.run(["ip", "netns", "add", self.netns], check=True)
        inside = ["nsenter", f"--net=/run/netns/{self.netns}"]
        subprocess.run(inside + ["ip", "link", "set", "lo", "up"], check=True)
        self.start_containerd()
        write_image(self.home / "image.tar")
        self.ctr("image", "import", str(self.home / "image.tar"))

    def start_containerd(self):
        environment = dict(
            os.environ,
            PATH=f"{self.build}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            TROUPE_CONF_FILE=str(self.config),
        )
        inside = ["nsenter", f"--net=/run/netns/{self.netns}"]
        with open(self.home / "containerd.log", "ab") as log:
            self.containerd = subprocess.Popen(
                inside + ["containerd", "-c", str(self.home / "containerd.toml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        end = time.monotonic() + 30
        while self.ctr("version", check=False).returncode != 0:
            if time.monotonic() > end:
                raise RuntimeError("containerd does not answer")
            time.sleep(0.05)

    def restart_containerd(self):
        """As after a crash of it: shims live on."""
        self.containerd.kill()
        self.containerd.wait()
        self.start_containerd()

    def down(self):
        if self.containerd:
            self.containerd.send_signal(signal.SIGTERM)
            try:
                self.containerd.wait(10)
            except subprocess.TimeoutExpired:
                self.containerd.kill()
                self.containerd.wait()
        subprocess.run(["ip", "netns", "del", self.netns], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.home, ignore_errors=True)

    def ctr(self, *words, check=True, stdin=b"", patience=PATIENCE):
        result = subprocess.run(
            ["ctr", "-a", str(self.socket), *map(str, words)],
            input=stdin, capture_output=True, timeout=patience,
        )
        if check and result.returncode != 0:
            raise AssertionError(f"ctr {words}: {result.returncode}: {result.stderr.decode()}")
        return result

    def run(self, name, *command, options=(), check=False, **more):
        words = ["run", "--rm", "--runtime", RUNTIME, *options, IMAGE, name, *command]
        return self.ctr(*words, check=check, **more)

    def start(self, name, *command, options=()):
        return self.ctr("run", "-d", "--runtime", RUNTIME, *options, IMAGE, name, *command)

    def exec(self, name, exec_id, *command, options=(), check=False, **more):
        words = ["task", "exec", "--exec-id", exec_id, *options, name, *command]
        return self.ctr(*words, check=check, **more)

    def remove(self, name):
        """Kills and removes a container made by start()."""
        self.ctr("task", "kill", "-s", "SIGKILL", name, check=False)
        self.wait_for(lambda: "STOPPED" in self.status(name) or not self.status(name), "its end")
        self.ctr("task", "delete", name, check=False)
        self.ctr("container", "rm", name, check=False)

    def clear(self):
        """After a failed test: what it left must not fail the next ones."""
        for name in self.ctr("container", "ls", "-q", check=False).stdout.decode().split():
            try:
                self.remove(name)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                print(f"   {name} stays: {error}")

    def status(self, name):
        for line in self.ctr("task", "ls").stdout.decode().splitlines():
            if line.split()[:1] == [name]:
                return line
        return ""

    def wait_for(self, condition, what, patience=60):
        end = time.monotonic() + patience
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited {patience} s for {what}")
            time.sleep(0.05)

    def events(self):
        return Events(self)

    def show_logs(self):
        log = (self.home / "containerd.log").read_bytes().decode(errors="replace").splitlines()
        marks = ("actor=", "level=error", "level=warn")
        ours = [line for line in log if any(mark in line for mark in marks)]
        print("\n".join("  | " + line[:400] for line in ours[-60:]))


class Events:
    """`ctr events` beside a test: (topic, payload) in order of arrival."""

    def __init__(self, bed):
        self.seen = []
        self.process = subprocess.Popen(
            ["ctr", "-a", str(bed.socket), "events"], stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self.read, daemon=True).start()
        time.sleep(0.3)  # ctr gives no sign when it has subscribed

    def read(self):
        for line in self.process.stdout:
            at = line.find("/tasks/")
            if at >= 0:
                topic, _, payload = line[at:].partition(" ")
                self.seen.append((topic, json.loads(payload)))

    def close(self):
        self.process.kill()
        self.process.wait()


def require():
    """Says why the tests cannot run here, if they cannot."""
    if os.geteuid() != 0:
        return "must be root"
    for program in ("containerd", "ctr", "qemu-system-x86_64", "nsenter", "ip"):
        if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            return f"{program} is not installed"
    kernel = pathlib.Path(os.environ.get("TROUPE_BUILD", "")) / "guest/vmlinux-product"
    if not kernel.exists():
        return f"no guest kernel at {kernel}: run guest/kernel/build product build/guest"
    return None


def settle(before):
    """What is left once the daemons had their time to end."""
    end = time.monotonic() + 20
    while True:
        left = leftovers.snapshot() - before
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


def main(tests):
    reason = require()
    if reason:
        print("SKIPPED:", reason)
        sys.exit(77)
    failed = 0
    bed = Bed()
    try:
        bed.up()
        for name, test in [t for t in tests.items() if t[0].startswith("test_")]:
            before = leftovers.snapshot()
            began = time.monotonic()
            try:
                test(bed)
                left = settle(before)
                assert not left, "left behind:\n  " + "\n  ".join(sorted(left))
                print(f"ok {name} ({time.monotonic() - began:.1f} s)", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED: {name}", flush=True)
                traceback.print_exc(file=sys.stdout)
                bed.show_logs()
                bed.clear()
            finally:
                bed.configure()
    finally:
        bed.down()
    sys.exit(1 if failed else 0)
