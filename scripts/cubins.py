#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The CUDA kernels as cubins in a C source: cubins.py NVCC OUT.c SYMBOL ARCHS FILE...

Compiles every module of manifest.h (one of the files) for each of ARCHS
(sm_52,sm_86; empty: all that NVCC lists), as NVRTC would, and embeds the
results as sm_86-matmul-f16.cubin (dev/cuda_program.c looks them up).
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

import embed

ROW = re.compile(r"^\s*K\((\w+), (\w+), (\w+), (\w+)\)", re.M)
# NVRTC's own: to nvcc, what is not marked is the host's.
FOREIGN = {"--device-as-default-execution-space"}


def listed(nvcc):
    text = subprocess.run([nvcc, "--list-gpu-code"], check=True, capture_output=True,
                          text=True).stdout
    return re.findall(r"^(sm_\d+)$", text, re.M)


def main(nvcc, out, symbol, archs, *files):
    manifest = next(f for f in files if os.path.basename(f) == "manifest.h")
    folder = os.path.dirname(manifest)
    with open(manifest, encoding="utf-8") as f:
        text = f.read()
    line = re.search(r"^#define M2C_K_OPTIONS (.*)$", text, re.M).group(1)
    options = [o for o in re.findall(r'"([^"]*)"', line) if o not in FOREIGN]
    modules = sorted({(file, kind) for _, file, kind, _ in ROW.findall(text)})
    with tempfile.TemporaryDirectory() as made:
        def compile_one(job):
            arch, file, kind = job
            path = os.path.join(made, f"{arch}-{file}-{kind}.cubin")
            subprocess.run([nvcc, *options, f"-DM2C_T={kind}", f"-arch={arch}", "-cubin",
                            os.path.join(folder, file + ".cu"), "-o", path], check=True)
            return path
        jobs = [(arch, *module) for arch in archs.split(",") if archs for module in modules] \
            or [(arch, *module) for arch in listed(nvcc) for module in modules]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            embed.main(out, symbol, *pool.map(compile_one, jobs))


if __name__ == "__main__":
    main(*sys.argv[1:])
