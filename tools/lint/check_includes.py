#!/usr/bin/env python3
"""Who may include whom: the direction rules of docs/architecture.md, and no circle among leaves."""
import re
import sys
from pathlib import Path

from tree import CODE, main

# Kinds of files, first match wins. `leaf` is every CAF-free part of an actor's folder.
KINDS = [
    (r"messages/vocabulary/", "vocabulary"),
    (r"messages/(ttrpc|proto)/", "wire"),
    (r"messages/task_api/", "leaf"),
    (r"messages/[^/]+$", "protocol"),
    (r"config/", "config"),
    (r"actors/supervision/", "supervision"),
    (r"actors/[^/]+$", "runtime"),
    (r"actors/.*_actor[^/]*$", "actor"),
    (r"actors/.*_state\.[ch]pp$", "state"),
    (r"actors/", "leaf"),
    (r"shim/", "shim"),
    (r"tools/", "tools"),
    (r"guest/agent/", "guest"),
    (r"guest/image/", "guest"),
    (r"tests/", "tests"),
]

# A file may include its own kind and these.
MAY_INCLUDE = {
    "vocabulary": set(),
    "wire": {"vocabulary"},
    "config": {"vocabulary"},
    "protocol": {"vocabulary", "config", "supervision", "leaf"},
    "supervision": {"vocabulary", "config", "protocol"},
    "leaf": {"vocabulary", "wire", "config", "protocol"},
    "state": {"vocabulary", "wire", "protocol", "leaf"},
    "actor": {"vocabulary", "wire", "config", "protocol", "supervision", "leaf", "state"},
    "runtime": {
        "vocabulary", "wire", "config", "protocol", "supervision", "leaf", "state", "actor",
    },
    "shim": {"vocabulary", "wire", "config", "protocol", "leaf", "runtime"},
    "tools": {"vocabulary", "wire", "config", "protocol", "leaf", "runtime"},
    "guest": {"vocabulary", "wire"},
    "tests": {kind for _, kind in KINDS},
}

# Only these see CAF; the closure of everything else is free of it.
MAY_SEE_CAF = {"supervision", "actor", "runtime", "protocol", "tests"}
MUST_BE_FREE_OF_CAF = {"vocabulary", "wire", "config", "leaf", "state", "guest"}

# What of the supervision folder is CAF-free and open to leaves: ports and plain rules.
OPEN_PORTS = {"actors/supervision/fault_plan.hpp", "actors/supervision/executor.hpp",
              "actors/supervision/io_loop.hpp", "actors/supervision/thread.hpp"}

# Libraries, and the folders that may use them.
LIBRARIES = {
    r"toml\+\+/": ["config/"],
    r"nlohmann/": ["actors/container/oci/", "actors/sandbox/hypervisor/", "actors/agent/", "tools/",
                   "guest/agent/"],
    r"CLI/": ["tools/", "guest/image/"],
    r"spdlog/": ["shim/", "tools/", "actors/runtime"],
    r"archive": ["tools/", "guest/image/"],
    r"asio": ["messages/ttrpc/", "actors/agent/", "actors/container/", "actors/sandbox/",
              "actors/supervision/", "actors/runtime", "shim/", "tools/", "guest/agent/"],
    r"linux/kvm\.h": ["actors/vcpu/", "actors/sandbox/hypervisor/", "tools/bench/"],
    r"linux/fuse\.h": ["actors/sharefs/"],
    r"liburing": ["actors/devices/virtio/blk/", "tools/bench/"],
    r"seccomp": ["guest/agent/", "actors/sandbox/seccomp/"],
}

# Deadlines, threads and the host reach an actor through ports: the simulation replaces them.
NOT_IN_ACTORS = re.compile(r"std::(this_)?thread\b|steady_clock::now|::sleep\b")

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
CAST = re.compile(r"\breinterpret_cast<([^>]*)>")
SYSCALL_STRUCT = re.compile(r"sockaddr|uintptr_t|cmsghdr|file_handle|inotify_event|nlmsghdr")


def kind_of(name):
    return next((kind for pattern, kind in KINDS if re.match(pattern, name)), None)


def is_project(name):
    return kind_of(name) is not None


def includes(tree, name):
    """(line, quoted, path) of each."""
    for number, line in tree.lines(name):
        found = INCLUDE.match(line)
        if found:
            yield number, found[1] == '"', found[2]


def check_direction(name, number, other):
    mine, theirs = kind_of(name), kind_of(other)
    if theirs is None or other in OPEN_PORTS:
        return []
    foreign = theirs in ("actor", "state") and Path(name).parent != Path(other).parent
    if mine in ("actor", "state") and foreign:
        return [f"{name}:{number}: includes another folder's {theirs}: {other}"]
    if theirs != mine and theirs not in MAY_INCLUDE[mine]:
        return [f"{name}:{number}: {mine} must not include {theirs}: {other}"]
    return []


def check_library(name, number, other):
    for pattern, folders in LIBRARIES.items():
        if re.match(pattern, other) and not name.startswith(tuple(folders) + ("tests/",)):
            return [f"{name}:{number}: <{other}> belongs to {', '.join(folders)} only"]
    if other.startswith("caf/") and kind_of(name) not in MAY_SEE_CAF:
        return [f"{name}:{number}: CAF is not for {kind_of(name)} files"]
    return []


def check_lines(tree, name):
    problems = []
    kind = kind_of(name)
    for number, line in tree.lines(name):
        code = line.split("//")[0]
        cast = CAST.search(code)
        if cast and "_raw." not in name and kind != "tests" and not SYSCALL_STRUCT.search(cast[1]):
            problems.append(f"{name}:{number}: reinterpret_cast outside of *_raw files")
        if kind in ("actor", "state") and NOT_IN_ACTORS.search(code):
            problems.append(f"{name}:{number}: time and threads come through ports")
    return problems


def caf_reached(tree, name, graph, seen):
    """The way to the first CAF header that `name` reaches, or nothing."""
    if name in seen:
        return None
    seen.add(name)
    for other in graph.get(name, ()):
        if other.startswith("caf/"):
            return [name, other]
        way = caf_reached(tree, other, graph, seen)
        if way:
            return [name] + way
    return None


def circle(edges):
    """One circle among folders, as a list, or nothing."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for other in sorted(edges.get(node, ())):
            found = visit(other)
            if found:
                return found
        done.add(path.pop())
        return None

    for start in sorted(edges):
        found = visit(start)
        if found:
            return found
    return None


def check(tree):
    problems, graph, folders = [], {}, {}
    for name in tree.ending(*CODE):
        if not is_project(name):
            continue
        problems += check_lines(tree, name)
        for number, quoted, other in includes(tree, name):
            graph.setdefault(name, []).append(other)
            problems += check_library(name, number, other)
            if quoted and is_project(other):
                if tree.real and not tree.exists(other) and not tree.exists(other + ".in"):
                    problems.append(f"{name}:{number}: no such file: {other}")
                problems += check_direction(name, number, other)
                if kind_of(name) == kind_of(other) == "leaf":
                    mine, theirs = str(Path(name).parent), str(Path(other).parent)
                    if mine != theirs:
                        folders.setdefault(mine, set()).add(theirs)
    for name in graph:
        way = kind_of(name) in MUST_BE_FREE_OF_CAF and caf_reached(tree, name, graph, set())
        if way:
            problems.append(f"{name}: reaches CAF: {' -> '.join(way)}")
    ring = circle(folders)
    if ring:
        problems.append(f"leaves include each other in a circle: {' -> '.join(ring)}")
    return problems


GOOD = {
    "messages/vocabulary/a.hpp": "#include <string>\n",
    "messages/x.hpp": '#include "messages/vocabulary/a.hpp"\n#include <caf/all.hpp>\n',
    "actors/x/x_state.hpp": '#include "actors/x/leaf/l.hpp"\n',
    "actors/x/leaf/l.hpp": '#include "messages/vocabulary/a.hpp"\n',
    "actors/x/x_actor.cpp": '#include "actors/x/x_state.hpp"\n#include "messages/x.hpp"\n',
    "actors/runtime.cpp": '#include "actors/x/x_actor.hpp"\n',
    "actors/x/ring_raw.cpp": "auto p = reinterpret_cast<char*>(q);\n",
    "actors/x/bind.cpp": "bind(fd, reinterpret_cast<const sockaddr*>(&a), n);\n",
}
BAD = [
    {"messages/vocabulary/a.hpp": '#include "config/b.hpp"\n'},
    {"config/a.hpp": "#include <caf/all.hpp>\n"},
    {
        "actors/x/leaf/l.hpp": '#include "messages/x.hpp"\n',
        "messages/x.hpp": "#include <caf/all.hpp>\n",
    },
    {"actors/x/x_actor.cpp": '#include "actors/y/y_state.hpp"\n'},
    {"actors/x/a.cpp": '#include "shim/b.hpp"\n'},
    {"shim/a.cpp": '#include "actors/x/x_actor.hpp"\n'},
    {"guest/agent/a.cpp": '#include "actors/x/l.hpp"\n'},
    {
        "actors/a/l.hpp": '#include "actors/b/l.hpp"\n',
        "actors/b/l.hpp": '#include "actors/a/l.hpp"\n',
    },
    {"actors/x/a.cpp": "auto p = reinterpret_cast<char*>(q);\n"},
    {"actors/x/a.cpp": "#include <toml++/toml.h>\n"},
    {"actors/x/x_actor.cpp": "std::thread t;\n"},
]
TESTS = (GOOD, *BAD)

if __name__ == "__main__":
    sys.setrecursionlimit(10000)
    main(check, TESTS)
