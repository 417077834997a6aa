# SPDX-License-Identifier: MIT
"""Lints of single lines: what library code may call, how files look."""
import re

from tree import code, find, is_c, is_library, lint

SOURCES = (".c", ".h", ".py", ".sh", ".cl", ".cu")
LINES_HARD, LINES_SOFT, FUNCTION_SOFT = 800, 400, 60


@lint(bad=[{"src/dev/x.c": 'char *p = getenv("X");\n'},
           {"src/tools/m2c.c": "p = secure_getenv(x);\n"}],
      good={"src/dev/x.c": "/* no getenv() */\n", "tests/x.c": 'getenv("M2C_SHARED");\n',
            "src/dev/progcache.c": 'getenv("XDG_CACHE_HOME");\n'})
def environment(files):
    """Configuration comes from files and flags. Where a user's caches belong is
    said by the environment alone (XDG base directories)."""
    for path, text in files.items():
        if is_c(path) and path.startswith(("src/", "experiments/")) \
                and path != "src/dev/progcache.c":
            yield from find(r"\b(?:secure_)?getenv\b|\benviron\b", path, code(text),
                            "'{}': no environment variables")


@lint(bad=[{"src/dev/x.c": 'fprintf(stderr, "x");\n'}, {"src/dev/x.c": 'printf("x");\n'},
           {"experiments/x.c": 'puts("x");\n'}, {"src/exp/x.c": 'perror("x");\n'}],
      good={"src/base/log.c": "fputs(x, stderr);\n", "src/tools/m2c.c": 'printf("x");\n',
            "src/base/base.h": "format(printf, fmt, args)\n",
            "src/exp/x.c": '/* stderr */ snprintf(a, b, "printf("); fprintf(f, "x");\n'})
def prints(files):
    """Only base/log.c and the tools write to the standard streams."""
    for path, text in files.items():
        if is_library(path) and path != "src/base/log.c":
            yield from find(r"\bstd(?:err|out)\b|\bv?printf\s*\(|\bputs\s*\("
                            r"|\bputchar\s*\(|\bperror\s*\(|\bv?dprintf\s*\(",
                            path, code(text), "'{}': library code does not print")


@lint(bad=[{"src/dev/x.c": "abort();\n"}, {"src/dev/x.c": "exit(1);\n"},
           {"experiments/x.c": "_exit(1);\n"}],
      good={"src/dev/x.c": "static_assert(1, x); assert(p); pthread_exit(0);\n",
            "src/tools/m2c.c": "exit(2);\n"})
def exits(files):
    """A sweep outlives a bad point: library code returns errors. An assert may
    state what a caller of ours owes, never what input is like."""
    for path, text in files.items():
        if is_library(path):
            yield from find(r"\b(?:_exit|_Exit|exit|quick_exit|abort|err|errx)\s*\(",
                            path, code(text), "'{}': library code returns errors")


@lint(bad=[{"src/dev/x.c": "int x;\n"}, {"scripts/x.sh": "#!/bin/sh\necho\n"},
           {"tests/x.py": "\n\n# SPDX-License-Identifier: MIT\n"}],
      good={"src/dev/x.c": "/* SPDX-License-Identifier: MIT */\n",
            "kernels/cl/x.cl": "/* SPDX-License-Identifier: MIT */\n",
            "scripts/x.sh": "#!/bin/sh\n# SPDX-License-Identifier: MIT\n"})
def spdx(files):
    """Every source names its licence, at the top."""
    for path, text in files.items():
        if not path.endswith(SOURCES):
            continue
        lines = text.split("\n", 2)[:2]
        if lines[0].startswith("#!"):
            lines = lines[1:]
        c_like = path.endswith((".c", ".h", ".cl", ".cu"))
        want = "/* SPDX-License-Identifier: MIT */" if c_like else \
            "# SPDX-License-Identifier: MIT"
        if not lines or lines[0] != want:
            yield path, 1, f"expected '{want}' at the top"


@lint(bad=[{"src/x.c": "int\tx;\n"}, {"src/x.c": "int x; \n"}, {"src/x.c": "int x;"},
           {"src/x.c": "int x;\r\n"}, {"src/x.c": "int x;\n\n"},
           {"src/x.c": "/* a\u200bb */\n"}],
      good={"src/x.c": "/* \u00e4 */\nint x;\n", "src/y.h": "", "README.md": "a  \n"})
def whitespace(files):
    """No tabs, trailing blanks, CR, invisible characters; one newline ends a file."""
    rules = ((r"\t", "tab"), (r"[ \t]+$", "trailing blank"), (r"\r", "carriage return"),
             ("[\u200b-\u200f\u2028-\u202e\u2060\u00ad\ufeff]", "invisible character"))
    for path, text in files.items():
        for pattern, what in rules:
            if not (path.endswith(".md") and what == "trailing blank"):
                yield from find(pattern, path, text, what)
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            yield path, text.count("\n"), "expected one newline at the end"


MARK = "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"))


@lint(bad=[{"src/x.c": "/* TO" + "DO: later */\n"}, {"tests/x.py": "# FIX" + "ME\n"}],
      good={"src/x.c": "/* done */\n"})
def markers(files):
    """What is left to do is in the tracker, not in comments."""
    for path, text in files.items():
        yield from find(rf"\b(?:{MARK})\b", path, text, "'{}' in a source")


def long_functions(text):
    start = None
    for number, line in enumerate(text.split("\n"), 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start > FUNCTION_SOFT:
                yield start, number - start
            start = None


@lint(bad=[{"src/x.c": "int x;\n" * (LINES_HARD + 1)}, {"a/x.py": "\n" * (LINES_HARD + 1)}],
      good={"src/x.c": "int x;\n" * LINES_HARD})
def size(files):
    """At most 800 lines a file. Past 400, or functions past 60: said, no fault."""
    for path, text in files.items():
        if not path.endswith(SOURCES):
            continue
        lines = text.count("\n")
        if lines > LINES_HARD:
            yield path, LINES_HARD, f"{lines} lines, at most {LINES_HARD}"
        if path.startswith(("src/", "experiments/")):
            if LINES_SOFT < lines < LINES_HARD:
                print(f"note: {path}: {lines} lines, better below {LINES_SOFT}")
            for line, n in long_functions(text):
                print(f"note: {path}:{line}: function of {n} lines, better below "
                      f"{FUNCTION_SOFT}")
