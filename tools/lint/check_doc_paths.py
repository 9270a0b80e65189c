#!/usr/bin/env python3
"""Paths, commands and tests that the pages name exist."""
import itertools
import os
import re
from pathlib import Path

from tree import main

TOP = ("actors", "config", "docs", "guest", "messages", "shim", "tests", "tools")
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")
CODE_SPAN = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```")
NAMED_TEST = re.compile(r"`(tests/[\w./]+\.\w+)`: ([^|]+?) *\|")
LITERAL_BREAK = re.compile(r'"\s*\n\s*"')
PROGRAM = re.compile(r"\b(?:troupe_program|add_executable)\(\s*([\w.-]+)")


def expand(path):
    """`a/{b,c}.x` is a/b.x and a/c.x."""
    parts = [part[1:-1].split(",") if part.startswith("{") else [part]
             for part in re.split(r"(\{[^{}]*\})", path)]
    return ["".join(each) for each in itertools.product(*parts)]


def programs(tree):
    names = set()
    for name in tree.ending("CMakeLists.txt"):
        names.update(PROGRAM.findall(tree.text(name)))
    return names


def check_word(tree, word, built):
    """Whether `word`, if it looks like a path of ours, names something."""
    word = re.sub(r"^\./", "", word.rstrip(".,:;"))
    if re.match(r"build/bin/[\w.-]+$", word):
        return word.split("/")[-1] in built
    if not re.match(rf"({'|'.join(TOP)})/[\w./*{{}},+-]*$", word):
        return True
    return all(tree.exists(each.rstrip("/")) for each in expand(word))


def check_tests(tree, name, number, line):
    """A row that names a file and the words of a test in it."""
    problems = []
    for path, words in NAMED_TEST.findall(line):
        if tree.exists(path) and words not in LITERAL_BREAK.sub("", tree.text(path)):
            problems.append(f"{name}:{number}: no such test in {path}: {words}")
    return problems


def check_page(tree, name, built):
    problems, fenced = [], False
    for number, line in tree.lines(name):
        if FENCE.match(line):
            fenced = not fenced
            continue
        words = line.split() if fenced else [w for span in CODE_SPAN.findall(line)
                                             for w in span.split()]
        problems += [f"{name}:{number}: no such path: {word}" for word in words
                     if not check_word(tree, word, built)]
        problems += check_tests(tree, name, number, line)
        for target, _ in LINK.findall(line):
            if "://" not in target and not target.startswith("mailto:"):
                path = os.path.normpath(Path(name).parent / target)
                if not tree.exists(path):
                    problems.append(f"{name}:{number}: broken link: {target}")
    return problems


def check(tree):
    built = programs(tree)
    return [problem for name in tree.ending(".md") for problem in check_page(tree, name, built)]


GOOD = {
    "README.md": "See [a](docs/a.md), `tools/{x,y}`, `config/*.toml`, `std::a/b`.\n"
                 "```sh\nsudo tools/x --go build/bin/prog\n```\n",
    "docs/a.md": "[up](../README.md) [out](https://example.org/none)\n",
    "docs/b.md": "| hole | `tests/a.cpp`: it holds |\n",
    "tests/a.cpp": 'TEST_CASE("it "\n          "holds")\n',
    "tools/x": "", "tools/y": "", "config/a.toml": "",
    "tools/CMakeLists.txt": "troupe_program(prog main.cpp)\n",
}
BAD = [
    {"README.md": "[a](docs/a.md)\n"},
    {"README.md": "`tools/none`\n"},
    {"README.md": "`tools/{x,y}`\n", "tools/x": ""},
    {"README.md": "```sh\nsudo tools/none\n```\n"},
    {"README.md": "`build/bin/none`\n"},
    {"docs/b.md": "| hole | `tests/a.cpp`: it holds |\n", "tests/a.cpp": "it leaks"},
]
TESTS = (GOOD, *BAD)

if __name__ == "__main__":
    main(check, TESTS)
