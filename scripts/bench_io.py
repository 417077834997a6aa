#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads of m2c beside fio's: the same file, read size, depth and flags, in turn, several times.
Prints the ratio of each pair and their median. Standard library only; needs fio."""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

ap = argparse.ArgumentParser(description=__doc__)
ap.add_argument("m2c", help="the m2c program")
ap.add_argument("--file", help="file to read (default: a temporary one)")
ap.add_argument("--size", type=int, default=1 << 30, help="bytes of the temporary file")
ap.add_argument("--dir", default="build", help="folder of the temporary file")
ap.add_argument("--pairs", type=int, default=7)
ap.add_argument("--chunk", type=int, default=1 << 20)
ap.add_argument("--depth", type=int, default=16)
ap.add_argument("--json", action="store_true")
a = ap.parse_args()


def fio(path, size):
    out = subprocess.run(["fio", "--name=read", f"--filename={path}", "--rw=read", "--readonly",
                          f"--bs={a.chunk}", f"--iodepth={a.depth}", "--ioengine=libaio",
                          "--direct=1", f"--size={size}", "--output-format=json"],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out[out.index("{"):])["jobs"][0]["read"]["bw_bytes"]


def m2c(path, size):
    out = subprocess.run([a.m2c, "bench", "io", path, "--chunk", str(a.chunk), "--depth",
                          str(a.depth), "--bytes", str(size), "--json"], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out)["bytes_per_s"]


with tempfile.TemporaryDirectory(dir=a.dir) as tmp:
    path = a.file
    if not path:
        path = f"{tmp}/data"
        with open(path, "wb") as f:
            for _ in range(a.size >> 20):
                f.write(os.urandom(1 << 20))
            f.flush()
            os.fsync(f.fileno())
    size = os.path.getsize(path) // a.chunk * a.chunk
    rows = []
    for i in range(a.pairs):
        order = [fio, m2c] if i % 2 == 0 else [m2c, fio]
        got = {f.__name__: f(path, size) for f in order}
        rows.append((got["m2c"], got["fio"], got["m2c"] / got["fio"]))
ratio = statistics.median(r[2] for r in rows)
if a.json:
    print(json.dumps({"pairs": rows, "median_ratio": ratio}))
else:
    print(f"\nreads of {a.chunk >> 10} KiB, {a.depth} in flight, O_DIRECT, {size >> 20} MiB")
    print("   m2c MB/s    fio MB/s   m2c/fio")
    for m, f, r in rows:
        print(f"{m / 1e6:11.1f} {f / 1e6:11.1f} {r:9.3f}")
    print(f"median of the ratios {ratio:.3f}, from {min(r[2] for r in rows):.3f} to "
          f"{max(r[2] for r in rows):.3f}")
