"""A shim without containerd: its `start` in a bundle of ours, and ttRPC calls on its socket."""

import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import threading

HEADER = struct.Struct(">IIBB")  # length, stream id, type, flags
REQUEST, RESPONSE = 1, 2
GRPC = {
    0: "OK", 3: "INVALID_ARGUMENT", 4: "DEADLINE_EXCEEDED", 5: "NOT_FOUND", 6: "ALREADY_EXISTS",
    8: "RESOURCE_EXHAUSTED", 9: "FAILED_PRECONDITION", 10: "ABORTED", 12: "UNIMPLEMENTED",
    13: "INTERNAL", 14: "UNAVAILABLE",
}


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def message(**fields):
    """Protobuf: f3=b"..." is field 3. Strings and bytes, or numbers."""
    out = b""
    for name, value in fields.items():
        number = int(name[1:])
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def parse(data):
    """Field number -> its last value."""
    fields, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        value = number()
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        fields[key >> 3] = value
    return fields


class Refused(Exception):
    def __init__(self, status):
        self.code = GRPC.get(status.get(1, 0), status.get(1, 0))
        self.text = status.get(2, b"").decode()
        super().__init__(f"{self.code}: {self.text}")


def spec(*args, **changes):
    """A small valid config.json; a change of None leaves a member out."""
    whole = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": list(args), "env": ["PATH=/bin"], "cwd": "/",
        },
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]},
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not None}


class Shim:
    """One daemon, started as containerd would. Use `with`: it ends the daemon."""

    def __init__(self, bed, name, config):
        self.bed, self.name = bed, name
        self.bundle = bed.home / "bundles" / name
        (self.bundle / "rootfs").mkdir(parents=True)
        (self.bundle / "config.json").write_text(
            config if isinstance(config, str) else json.dumps(config)
        )
        os.mkfifo(self.bundle / "log")
        self.log = []
        self.log_file = os.fdopen(os.open(self.bundle / "log", os.O_RDWR), "rb")
        threading.Thread(target=self.read_log, daemon=True).start()
        self.stream = -1

    def action(self, *words):
        binary = self.bed.build / "bin/containerd-shim-troupe-v2"
        common = ["-namespace", "default", "-address", str(self.bed.socket), "-id", self.name]
        result = subprocess.run(
            [binary, *common, "-publish-binary", "/bin/true", *words], stdin=subprocess.DEVNULL,
            capture_output=True, cwd=self.bundle, env=self.environment, timeout=30,
        )
        assert result.returncode == 0, result
        return result.stdout

    def start(self, configured=True):
        """@param configured: by the bed's file, which beats the runtime options."""
        self.environment = dict(os.environ, TROUPE_CONF_FILE=str(self.bed.config))
        self.environment.pop("TTRPC_ADDRESS", None)
        if not configured:
            del self.environment["TROUPE_CONF_FILE"]
        self.path = self.action("start").decode().removeprefix("unix://")
        self.pid = int((self.bundle / "shim.pid").read_text())
        self.connect()

    def connect(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(150)
        self.socket.connect(self.path)

    def read_log(self):
        for line in self.log_file:
            if line.strip() == b"end of log":
                return
            self.log.append(line.decode(errors="replace").rstrip())

    def send_frame(self, payload):
        self.stream += 2
        self.socket.sendall(HEADER.pack(len(payload), self.stream, REQUEST, 0) + payload)

    def receive(self):
        header = self.exactly(HEADER.size)
        length, stream, kind, _ = HEADER.unpack(header)
        assert kind == RESPONSE and stream <= self.stream, header
        fields = parse(self.exactly(length))
        status = parse(fields.get(1, b""))
        if status.get(1, 0) != 0:
            raise Refused(status)
        return parse(fields.get(2, b""))

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the shim closed the connection")
            data += more
        return data

    def call(self, method, **fields):
        service = "containerd.task.v2.Task"
        self.send_frame(message(f1=service, f2=method, f3=message(**fields)))
        return self.receive()

    def create(self, **more):
        return self.call("Create", f1=self.name, f2=str(self.bundle), **more)

    def refused(self, method, **fields):
        """The refusal of a call that must not succeed."""
        try:
            self.call(method, **fields)
        except Refused as refusal:
            return refusal
        raise AssertionError(f"{method} was not refused")

    def refused_create(self, **more):
        return self.refused("Create", f1=self.name, f2=str(self.bundle), **more)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind:
            print("\n".join("  | " + line for line in self.log[-40:]))
        try:
            self.call("Shutdown", f1=self.name, f2=1)
        except (Refused, OSError, AttributeError):
            pass
        if hasattr(self, "socket"):
            self.socket.close()
        with open(self.bundle / "log", "wb", buffering=0) as log:
            log.write(b"end of log\n")
        self.log_file.close() if not self.log_file.closed else None
        if hasattr(self, "pid"):
            self.bed.wait_for(self.dead, "the daemon's end")
            self.action("-bundle", str(self.bundle), "delete")
        shutil.rmtree(self.bundle)

    def dead(self):
        try:
            stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return True
        return stat.rsplit(")", 1)[1].split()[0] == "Z"
