#!/usr/bin/env python3
"""Sizes: functions, files, headers, parameters, columns. A small scanner of braces, no compiler."""
import re
import statistics

from tree import CODE, main

MAX_FILE = 600
MAX_HEADER = 300
MAX_FUNCTION = 60
MAX_BEHAVIOUR = 80  # of *_actor.cpp: a handler a message
MAX_MEDIAN = 8
MAX_PARAMETERS = 6
MAX_COLUMNS = 100

COLUMNS_OF = CODE + (".py", ".proto", ".cmake", "CMakeLists.txt")
TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
                    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.S)
NOT_A_FUNCTION = re.compile(r"(^|\W)(namespace|class|struct|union|enum|concept|extern)\b[^()]*$")


def plain(text):
    """The code with comments and literals blanked out, lines kept."""
    def blank(match):
        inner = re.sub(r"[^\n]", " ", match[0])
        return '""' + inner[2:] if match[0].startswith(('"', "R")) and len(inner) > 1 else inner
    text = TOKENS.sub(blank, text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m[0]), text,
                  flags=re.M)


def outside(text, opening, closing):
    """`text` without what stands between the brackets."""
    kept, depth = [], 0
    for c in text:
        if c == opening:
            depth += 1
        elif c == closing:
            depth = max(0, depth - 1)
        elif depth == 0:
            kept.append(c)
    return "".join(kept)


def is_function(head):
    """Whether the text before a `{`, since the last `;`, `{` or `}`, begins a function's body."""
    head = head.strip()
    if "(" not in head or NOT_A_FUNCTION.search(head):
        return False
    rest = re.sub(r"operator\s*(<=>|[=!<>]=|=|\(\))", "operator", outside(head, "(", ")"))
    return "=" not in re.sub(r"<[^<>]*>", "", rest)


def parameters(head):
    """How many the function whose head this is takes: of its first parenthesis."""
    head = re.sub(r"operator\s*\(\s*\)", "operator", head)
    start = head.find("(")
    depth, count, some = 0, 0, False
    for c in head[start:]:
        if c in "([{<":
            depth += 1
        elif c in ")]}>":
            depth -= 1
            if depth == 0 and c == ")":
                break
        elif depth == 1:
            some = some or not c.isspace()
            count += c == ","
    return count + 1 if some else 0


def functions(text):
    """(line, length, head) of each function that is defined in a namespace or class."""
    code = plain(text)
    found, stack, start = [], [], 0
    for at, c in enumerate(code):
        if c == "{":
            head = code[start:at]
            inside = any(frame is not None for frame in stack)
            stack.append((at, head) if not inside and is_function(head) else
                         (None if not inside and NOT_A_FUNCTION.search(head.strip() + " ") else
                          (at, None)))
        elif c == "}" and stack:
            frame = stack.pop()
            if frame and frame[1] is not None:
                first = code.count("\n", 0, frame[0] - len(frame[1].lstrip())) + 1
                found.append((first, code.count("\n", frame[0], at) + 1, frame[1].strip()))
        if c in "{};":
            start = at + 1
    return found


def check_functions(name, text, lengths):
    problems = []
    limit = MAX_BEHAVIOUR if name.endswith("_actor.cpp") else MAX_FUNCTION
    for line, length, head in functions(text):
        if not name.startswith("tests/"):
            lengths.append(length)
        if length > limit:
            problems.append(f"{name}:{line}: a function of {length} lines (limit {limit})")
        if parameters(head) > MAX_PARAMETERS and not re.match(r"\s*(TEST_CASE|SCENARIO)", head):
            count = parameters(head)
            problems.append(f"{name}:{line}: {count} parameters (limit {MAX_PARAMETERS})")
    return problems


def check(tree):
    problems, lengths = [], []
    for name in tree.ending(*COLUMNS_OF):
        for number, line in tree.lines(name):
            if len(line) > MAX_COLUMNS and "http" not in line:
                problems.append(f"{name}:{number}: {len(line)} columns (limit {MAX_COLUMNS})")
    for name in tree.ending(*CODE):
        text = tree.text(name)
        limit = MAX_HEADER if name.endswith((".hpp", ".h")) else MAX_FILE
        if text.count("\n") > limit:
            problems.append(f"{name}: {text.count(chr(10))} lines (limit {limit})")
        problems += check_functions(name, text, lengths)
    if lengths and statistics.median(lengths) > MAX_MEDIAN:
        problems.append(f"the median function has {statistics.median(lengths)} lines "
                        f"(limit {MAX_MEDIAN})")
    return problems


def body(lines, head="int f()"):
    return f"namespace a {{\n{head} {{\n" + "  g();\n" * (lines - 2) + "}\n}\n"


SHORT = "int s() { return 1; }\n" * 9
GOOD = {
    "shim/a.cpp": SHORT + body(60) + "int f(std::map<int, int> a, int b) { return 'x'; }\n",
    "shim/b_actor.cpp": body(80) + SHORT,
    "shim/c.cpp": SHORT + "const char* t = R\"({{{)\";\nint x[] = {\n" + "  1,\n" * 70 + "};\n",
    "shim/d.cpp": SHORT
    + "struct s {\n  int f() { return '{'; }\n"
    + "  int a = 0;\n" * 70
    + "};\n",
}
BAD = [
    {"shim/a.cpp": SHORT + body(61)},
    {"shim/b_actor.cpp": SHORT + body(81)},
    {"shim/a.cpp": SHORT + body(62, "c::c(int a)\n    : b_{a}, d_(a)")},
    {"shim/a.hpp": "int a;\n" * 301},
    {"shim/a.cpp": "int a;\n" * 601},
    {
        "shim/a.cpp": SHORT
        + "int f(int a, int b, int c, int d, int e, int f, int g) { return 1; }\n"
    },
    {"shim/a.cpp": "// " + "x" * 98 + "\n"},
    {"shim/a.cpp": body(20) * 3},
]
TESTS = (GOOD, *BAD)

if __name__ == "__main__":
    main(check, TESTS)
