#!/usr/bin/env python3
"""Texts: no paths of one developer's machine, no unknown hosts, no open ends without an issue."""
import re

from tree import CODE, main

# Folders of a developer's machine. Assembled, so that this file does not find itself.
MACHINE_PATH = re.compile("/" + r"(work/(main|shared|\.)|tmp/(brief|build-))")
# An address is a fact about a specification, a project, or an example: nothing else.
HOST = re.compile(r"https?://(?:[^/@\s]*@)?([\w.-]+)")
KNOWN_HOSTS = re.compile(
    r"(^|\.)(example\.(org|com)|github\.com|kernel\.org|debian\.org|apache\.org|gnu\.org|qemu\.org"
    r"|oasis-open\.org|opencontainers\.org|containerd\.io|w3\.org|keepachangelog\.com|semver\.org"
    r"|man7\.org|ietf\.org|rfc-editor\.org|localhost)$")
OPEN_END = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b(?!\(#\d+\))")
NO_TABS = CODE + (".py", ".proto", ".md", ".toml")


def check(tree):
    problems = []
    for name in tree.files:
        if "/corpus" in name or "_corpus/" in name or name.endswith((".patch", ".config")):
            continue
        text = tree.text(name)
        if text and not text.endswith("\n"):
            problems.append(f"{name}: the last line has no end")
        for number, line in tree.lines(name):
            where = f"{name}:{number}"
            if MACHINE_PATH.search(line):
                problems.append(f"{where}: a path of one machine")
            problems += [f"{where}: unknown host {host}" for host in HOST.findall(line)
                         if not KNOWN_HOSTS.search(host) and not re.match(r"127\.|\d+$", host)]
            if OPEN_END.search(line) and not name.endswith(".md"):
                problems.append(f"{where}: an open end without an issue, as in (#12)")
            if line != line.rstrip():
                problems.append(f"{where}: blanks at the end")
            if "\t" in line and name.endswith(NO_TABS):
                problems.append(f"{where}: a tab")
    return problems


GOOD = {
    "a.cpp": "// TO" + "DO(#12): later\n// see https://docs.kernel.org/x\nint worked/main;\n",
    "Makefile": "\tgo\n",
}
BAD = [
    {"a.cpp": "// TO" + "DO: later\n"},
    {"a.md": "cd /wo" + "rk/main\n"},
    {"a.md": "http" + "://mirror.corp.internal/x\n"},
    {"a.cpp": "int a; \n"},
    {"a.cpp": "\tint a;\n"},
    {"a.cpp": "int a;"},
]
TESTS = (GOOD, *BAD)

if __name__ == "__main__":
    main(check, TESTS)
