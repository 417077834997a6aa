# SPDX-License-Identifier: MIT
"""The modules of the CUDA kernels, from their manifest.

modules.py MANIFEST              a line "FILE TYPE" each
modules.py MANIFEST FILE TYPE    the C++ source that compiles one of them
"""
import re
import sys

ROW = re.compile(r"^\s*K\((\w+), (\w+), (\w+), (\w+)\)", re.M)


def modules(path):
    with open(path, encoding="utf-8") as f:
        return sorted({(file, kind) for _, file, kind, _ in ROW.findall(f.read())})


if len(sys.argv) == 2:
    for row in modules(sys.argv[1]):
        print(*row)
else:
    print(f"#define M2C_CUDA_EMU 1\n#define M2C_T {sys.argv[3]}\n"
          f"#include \"{sys.argv[2]}.cu\"")
