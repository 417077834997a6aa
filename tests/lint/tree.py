# SPDX-License-Identifier: MIT
"""The sources as the lints see them, and the frame that runs a lint.

A lint is a function of {path: text} that yields (path, line, message). It is
registered with a tree it must complain about and one it must not, and both
are tried before the real tree: a lint that cannot fail is no lint.
"""
import os
import re
import sys

SKIPPED = {"__pycache__", "results", "node_modules"}
TYPES = (".c", ".h", ".py", ".sh", ".cl", ".cu", ".ini", ".md")
NAMES = ("meson.build", "meson_options.txt", "run")

LINTS = {}


def lint(bad, good):
    """Registers a lint. Each tree of `bad` must give a fault, `good` none."""
    def register(check):
        LINTS[check.__name__] = (check, bad, good)
        return check
    return register


def read_tree(root):
    files = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [d for d in sorted(folders) if d not in SKIPPED
                      and not d.startswith("build") and (d == ".ci" or d[0] != ".")]
        for name in sorted(names):
            if name.endswith(TYPES) or name in NAMES:
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8", newline="") as f:
                    files[os.path.relpath(path, root)] = f.read()
    return files


def is_c(path):
    return path.endswith((".c", ".h"))


def is_library(path):
    """C of the library: what must not print, exit or read the environment."""
    return is_c(path) and path.startswith("src/") and not path.startswith("src/tools/") \
        or is_c(path) and path.startswith("experiments/")


def module(path):
    """src/dev/cpu.c -> dev; experiments/ppl.c -> experiments."""
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else parts[0]


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code(text, keep_strings=False):
    """C with comments, and strings too, replaced by blanks, lines kept."""
    def blank(match):
        s = match.group()
        if s[0] in "\"'":
            return s if keep_strings else s[0] + " " * (len(s) - 2) + s[0]
        return re.sub(r"[^\n]", " ", s)
    return TOKEN.sub(blank, text)


def find(pattern, path, text, message):
    for match in re.finditer(pattern, text, re.M):
        yield path, text.count("\n", 0, match.start()) + 1, message.format(
            match.group().strip())


def run(name, root):
    check, bad, good = LINTS[name]
    for i, sample in enumerate(bad):
        if not list(check(sample)):
            print(f"lint {name}: does not see the fault of its bad sample {i}: {sample}")
            return 1
    for fault in check(good):
        print(f"lint {name}: complains about its good sample: {fault}")
        return 1
    faults = list(check(read_tree(root)))
    for path, line, message in faults:
        print(f"{path}:{line}: {message}")
    print(f"lint {name}: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit("use run.py")
