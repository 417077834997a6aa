#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files as bytes in a C source: embed.py OUT.c SYMBOL FILE...

The source defines `const struct m2c_embed SYMBOL[]` (dev/embed.h), ended by an
entry without a name; an entry is called like its file, without its folder.
"""
import os
import sys


def main(out, symbol, *paths):
    parts = ["/* Made by scripts/embed.py. */", '#include "dev/embed.h"', ""]
    rows = []
    for i, path in enumerate(paths):
        with open(path, "rb") as f:
            data = f.read()
        parts.append(f"static const unsigned char file{i}[] = {{")
        for at in range(0, len(data), 24):
            parts.append(" ".join(f"{byte}," for byte in data[at:at + 24]))
        parts.append("0};")
        rows.append(f'    {{"{os.path.basename(path)}", file{i}, sizeof file{i} - 1}},')
    parts += ["", f"const struct m2c_embed {symbol}[] = {{", *rows, "    {0},", "};", ""]
    with open(out, "w", encoding="ascii") as f:
        f.write("\n".join(parts))


if __name__ == "__main__":
    main(*sys.argv[1:])
