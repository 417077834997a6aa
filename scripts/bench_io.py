#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads of m2c beside fio's: the same file, read size, depth and flags, in turn, several times.

Both with libaio, or with io_uring (--engine; several are measured one after the other), fio then
with registered file and buffers as m2c has them. m2c is measured twice: with buffers of small pages, which is what fio has and so like with like, and
with those that the DRAM tier has, which ask for huge pages: a direct read into them is cut into
fewer pieces by the kernel. Records from anywhere, as neurons would be fetched, are compared as well,
with the times of single reads. Prints each round's ratios and their medians. Needs fio."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

ap = argparse.ArgumentParser(description=__doc__)
ap.add_argument("m2c", help="the m2c program")
ap.add_argument("--engine", default="libaio",
                help="libaio, io_uring or both, separated by a comma (default: libaio)")
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


def run_fio(engine, path, size, bs, *options):
    fixed = ["--fixedbufs=1", "--registerfiles=1"] if engine == "io_uring" else []
    out = subprocess.run(["fio", "--name=read", f"--filename={path}", "--readonly", f"--bs={bs}",
                          f"--iodepth={a.depth}", f"--ioengine={engine}", *fixed, "--direct=1",
                          f"--size={size}", "--output-format=json", *options],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out[out.index("{"):])["jobs"][0]["read"]


def run_m2c(engine, path, size, *options):
    out = subprocess.run([a.m2c, "bench", "io", path, "--engine", engine, "--depth", str(a.depth),
                          "--bytes", str(size), "--json", *options],
                         check=True, capture_output=True, text=True).stdout
    got = json.loads(out)
    if engine == "io_uring" and not got["registered_bytes"]:
        sys.exit("m2c's buffers could not be registered (see ulimit -l): fio's would be")
    return got


def fio(engine, path, size):
    return run_fio(engine, path, size, a.chunk, "--rw=read")["bw_bytes"]


def read(engine, path, size, range_bytes):
    return run_m2c(engine, path, size, "--chunk", str(a.chunk), "--range",
                   str(range_bytes))["bytes_per_s"]


def small(engine, path, size):
    return read(engine, path, size, 2 << 20)


def tier(engine, path, size):
    return read(engine, path, size, 16 << 20)


def fio_random(engine, path, size):
    got = run_fio(engine, path, size, a.record, "--rw=randread",
                  f"--io_size={a.reads * a.record}", "--norandommap", "--randrepeat=0",
                  "--lat_percentiles=1", "--clat_percentiles=0")
    latency = got["lat_ns"]["percentile"]
    return got["iops"], latency["50.000000"] / 1e3, latency["99.000000"] / 1e3


def m2c_random(engine, path, size):
    got = run_m2c(engine, path, size, "--pattern", "random", "--range", str(a.record), "--reads",
                  str(a.reads))
    return got["requests_per_s"], got["range_p50_s"] * 1e6, got["range_p99_s"] * 1e6


def compare_random(engine, path):
    """Rounds of fio's and m2c's (reads/s, p50 us, p99 us)."""
    size = os.path.getsize(path) // a.record * a.record
    rounds = []
    for i in range(a.pairs):
        order = [fio_random, m2c_random] if i % 2 else [m2c_random, fio_random]
        got = {f.__name__: f(engine, path, size) for f in order}
        rounds.append([*got["fio_random"], *got["m2c_random"]])
    return rounds


def compare(engine, path):
    """The rounds and medians of one engine."""
    size = os.path.getsize(path) // a.chunk * a.chunk
    rows = []
    for i in range(a.pairs):
        order = [fio, small, tier]
        order = order[i % 3:] + order[:i % 3]
        got = {f.__name__: f(engine, path, size) for f in order}
        rows.append([got["fio"], got["small"], got["tier"], got["small"] / got["fio"],
                     got["tier"] / got["fio"]])
    random = compare_random(engine, path)
    return {"engine": engine, "bytes": size, "rounds": rows,
            "median_small": statistics.median(r[3] for r in rows),
            "median_tier": statistics.median(r[4] for r in rows), "random_rounds": random,
            "median_random": statistics.median(r[3] / r[0] for r in random)}


def show(got):
    print(f"\n{got['engine']}: reads of {a.chunk >> 10} KiB, {a.depth} in flight, O_DIRECT, "
          f"{got['bytes'] >> 20} MiB; MB/s")
    print("      fio   m2c, small pages   as the DRAM tier   ratio   ratio")
    for f, m, t, x, y in got["rounds"]:
        print(f"{f / 1e6:9.1f} {m / 1e6:18.1f} {t / 1e6:18.1f} {x:7.3f} {y:7.3f}")
    print(f"{'median':>9} {'':18} {'':18} {got['median_small']:7.3f} {got['median_tier']:7.3f}")
    print(f"\n{got['engine']}: records of {a.record} bytes from anywhere, {a.depth} in flight, "
          "O_DIRECT")
    print("fio reads/s  p50 us  p99 us   m2c reads/s  p50 us  p99 us   ratio")
    for f, f50, f99, m, m50, m99 in got["random_rounds"]:
        print(f"{f:11.0f} {f50:7.0f} {f99:7.0f} {m:13.0f} {m50:7.0f} {m99:7.0f} {m / f:7.3f}")
    print(f"{'median':>11} {'':7} {'':7} {'':13} {'':7} {'':7} {got['median_random']:7.3f}")


engines = a.engine.split(",")
if not set(engines) <= {"libaio", "io_uring"}:
    ap.error(f"--engine {a.engine}: libaio, io_uring or both")
with tempfile.TemporaryDirectory(dir=a.dir) as tmp:
    path = a.file
    if not path:
        path = f"{tmp}/data"
        with open(path, "wb") as f:
            for _ in range(a.size >> 20):
                f.write(os.urandom(1 << 20))
            f.flush()
            os.fsync(f.fileno())
    results = [compare(engine, path) for engine in engines]
if a.json:
    print(json.dumps(results))
else:
    for got in results:
        show(got)
