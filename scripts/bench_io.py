#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads of m2c beside fio's: the same file, read size, depth and flags, in turn, several times.

m2c is measured twice: with buffers of small pages, which is what fio has and so like with like, and
with those that the DRAM tier has, which ask for huge pages: a direct read into them is cut into
fewer pieces by the kernel. Records from anywhere, as neurons would be fetched, are compared as well,
with the times of single reads. Prints each round's ratios and their medians. Needs fio."""
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
ap.add_argument("--record", type=int, default=24 << 10, help="bytes of a record")
ap.add_argument("--reads", type=int, default=20000, help="records read")
ap.add_argument("--json", action="store_true")
a = ap.parse_args()


def fio(path, size):
    out = subprocess.run(["fio", "--name=read", f"--filename={path}", "--rw=read", "--readonly",
                          f"--bs={a.chunk}", f"--iodepth={a.depth}", "--ioengine=libaio",
                          "--direct=1", f"--size={size}", "--output-format=json"],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out[out.index("{"):])["jobs"][0]["read"]["bw_bytes"]


def read(path, size, range_bytes):
    out = subprocess.run([a.m2c, "bench", "io", path, "--chunk", str(a.chunk), "--depth",
                          str(a.depth), "--bytes", str(size), "--range", str(range_bytes),
                          "--json"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)["bytes_per_s"]


def small(path, size):
    return read(path, size, 2 << 20)


def tier(path, size):
    return read(path, size, 16 << 20)


def fio_random(path, size):
    out = subprocess.run(["fio", "--name=read", f"--filename={path}", "--rw=randread", "--readonly",
                          f"--bs={a.record}", f"--iodepth={a.depth}", "--ioengine=libaio",
                          "--direct=1", f"--size={size}", f"--io_size={a.reads * a.record}",
                          "--norandommap", "--randrepeat=0", "--lat_percentiles=1",
                          "--clat_percentiles=0", "--output-format=json"],
                         check=True, capture_output=True, text=True).stdout
    got = json.loads(out[out.index("{"):])["jobs"][0]["read"]
    latency = got["lat_ns"]["percentile"]
    return got["iops"], latency["50.000000"] / 1e3, latency["99.000000"] / 1e3


def m2c_random(path, size):
    out = subprocess.run([a.m2c, "bench", "io", path, "--pattern", "random", "--range",
                          str(a.record), "--reads", str(a.reads), "--depth", str(a.depth),
                          "--bytes", str(size), "--json"], check=True, capture_output=True,
                         text=True).stdout
    got = json.loads(out)
    return got["requests_per_s"], got["range_p50_s"] * 1e6, got["range_p99_s"] * 1e6


def compare_random(path):
    """Rounds of fio's and m2c's (reads/s, p50 us, p99 us)."""
    size = os.path.getsize(path) // a.record * a.record
    rounds = []
    for i in range(a.pairs):
        order = [fio_random, m2c_random] if i % 2 else [m2c_random, fio_random]
        got = {f.__name__: f(path, size) for f in order}
        rounds.append([*got["fio_random"], *got["m2c_random"]])
    return rounds


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
        order = [fio, small, tier]
        order = order[i % 3:] + order[:i % 3]
        got = {f.__name__: f(path, size) for f in order}
        rows.append([got["fio"], got["small"], got["tier"], got["small"] / got["fio"],
                     got["tier"] / got["fio"]])
    random = compare_random(path)
medians = [statistics.median(r[k] for r in rows) for k in (3, 4)]
median_random = statistics.median(r[3] / r[0] for r in random)
if a.json:
    print(json.dumps({"rounds": rows, "median_small": medians[0], "median_tier": medians[1],
                      "random_rounds": random, "median_random": median_random}))
else:
    print(f"\nreads of {a.chunk >> 10} KiB, {a.depth} in flight, O_DIRECT, {size >> 20} MiB; MB/s")
    print("      fio   m2c, small pages   as the DRAM tier   ratio   ratio")
    for f, m, t, x, y in rows:
        print(f"{f / 1e6:9.1f} {m / 1e6:18.1f} {t / 1e6:18.1f} {x:7.3f} {y:7.3f}")
    print(f"{'median':>9} {'':18} {'':18} {medians[0]:7.3f} {medians[1]:7.3f}")
    print(f"\nrecords of {a.record} bytes from anywhere, {a.depth} in flight, O_DIRECT")
    print("fio reads/s  p50 us  p99 us   m2c reads/s  p50 us  p99 us   ratio")
    for f, f50, f99, m, m50, m99 in random:
        print(f"{f:11.0f} {f50:7.0f} {f99:7.0f} {m:13.0f} {m50:7.0f} {m99:7.0f} {m / f:7.3f}")
    print(f"{'median':>11} {'':7} {'':7} {'':13} {'':7} {'':7} {median_random:7.3f}")
