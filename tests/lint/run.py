# SPDX-License-Identifier: MIT
"""Runs one lint: run.py ROOT NAME, or run.py --list.

run.py ROOT headers c|c++ BUILD COMPILER...
run.py ROOT symbols|state ARCHIVE COMPILER...
"""
import sys

import habits  # noqa: F401  (registers its lints)
import objects
import structure  # noqa: F401
import tree


def main(args):
    if args == ["--list"]:
        print("\n".join(tree.LINTS))
        return 0
    root, name, rest = args[0], args[1], args[2:]
    if name == "headers":
        return objects.headers(rest[0], rest[2:], root, rest[1])
    if name in ("symbols", "state"):
        return getattr(objects, name)(rest[1:], rest[0])
    return tree.run(name, root)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
