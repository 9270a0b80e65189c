#!/usr/bin/env python3
"""Every C and C++ source is named in a CMakeLists.txt: a test that nobody builds cannot fail."""
import os
import re
from pathlib import Path

from tree import main

# Built by their own scripts: the guest kernel's parts and single-file helpers beside a script.
NOT_BY_CMAKE = ("guest/kernel/", "guest/upcall/")


SET = re.compile(r"\bset\(\s*(\w+)\s+([^()\s]+)\s*\)")
SOURCE = re.compile(r"[\w./+-]+\.(?:cpp|c)\b")


def named(tree, lists):
    """The sources that one CMakeLists.txt names, as paths from the top."""
    folder = str(Path(lists).parent)
    text = re.sub(r"#.*", "", tree.text(lists))
    values = {"CMAKE_SOURCE_DIR": "/", "CMAKE_CURRENT_SOURCE_DIR": f"/{folder}"}
    values.update(SET.findall(text))
    for _ in range(3):  # a value may name another
        text = re.sub(r"\$\{(\w+)\}", lambda found: values.get(found[1], found[0]), text)
    return {os.path.normpath(f"/{folder}/{word}" if not word.startswith("/") else word).lstrip("/")
            for word in SOURCE.findall(text)}


def check(tree):
    known = set()
    for lists in tree.ending("CMakeLists.txt", ".cmake"):
        known |= named(tree, lists)
    return [f"{name}: is named in no CMakeLists.txt" for name in tree.ending(".cpp", ".c")
            if not name.startswith(NOT_BY_CMAKE) and name not in known]


GOOD = {
    "tests/unit/CMakeLists.txt": "troupe_test(a a.test.cpp sub/b.test.cpp)\n",
    "tests/unit/a.test.cpp": "",
    "tests/unit/sub/b.test.cpp": "",
    "shim/CMakeLists.txt": "set(t ${CMAKE_SOURCE_DIR}/tests/x)\ntroupe_test(c ${t}/c.test.cpp)\n",
    "tests/x/c.test.cpp": "",
}
BAD = [
    {"tests/unit/CMakeLists.txt": "# a.test.cpp\n", "tests/unit/a.test.cpp": ""},
    {"tests/unit/CMakeLists.txt": "troupe_test(x aa.test.cpp)\n", "tests/unit/a.test.cpp": ""},
    {"tests/fuzz/a.fuzz.cpp": ""},
]
TESTS = (GOOD, *BAD)

if __name__ == "__main__":
    main(check, TESTS)
