# SPDX-License-Identifier: MIT
"""m2c bench io: it reads what it says it reads, and what it reports adds up. Standard library
only."""
import json
import math
import os
import subprocess
import sys
import tempfile

m2c = sys.argv[1]
SIZE = 5 * 1048576 + 777


def attempt(*args):
    return subprocess.run([m2c, "bench", "io", *args], capture_output=True, text=True,
                          check=False)


def bench(*args, ok=0):
    p = attempt(*args)
    assert p.returncode == ok, (args, p.returncode, p.stderr)
    return p


def figures(*args):
    r = json.loads(bench(*args, "--json").stdout)
    assert math.isclose(r["bytes_per_s"], r["bytes"] / r["seconds"], rel_tol=1e-9), r
    assert math.isclose(r["requests_per_s"], r["requests"] / r["seconds"], rel_tol=1e-9), r
    assert 0 < r["range_p50_s"] <= r["range_p99_s"] <= r["seconds"], r
    return r


def check(path, engine, *mode):
    common = (path, "--engine", engine, *mode)
    r = figures(*common, "--chunk", "64K", "--range", "1M")
    assert (r["bytes"], r["ranges"], r["requests"]) == (SIZE, 6, 81), r
    assert r["registered_bytes"] == 0 or engine == "io_uring", r
    # the last record of the file may be drawn, a part of one never
    r = figures(*common, "--pattern", "random", "--range", "24K", "--reads", "500",
                "--depth", "7", "--bytes", "80000", "--offset", str(SIZE - 80000))
    assert (r["bytes"], r["ranges"], r["requests"]) == (500 * 24576, 500, 500), r
    assert (r["direct"], r["engine"], r["pattern"]) == (not mode, engine, "random"), r


def main(tmp):
    path = f"{tmp}/data"
    with open(path, "wb") as f:
        f.write(os.urandom(SIZE))
    direct = attempt(path, "--engine", "pread")
    for engine in ("pread", "libaio", "io_uring", "mmap"):
        has = attempt(path, "--buffered", "--engine", engine)
        if has.returncode:
            assert engine != "pread" and "set ssd.engine = " in has.stderr, has.stderr
            continue
        if direct.returncode or engine in ("pread", "mmap"):
            check(path, engine, "--buffered")
        if engine == "mmap":
            assert "page cache" in bench(path, "--engine", engine, ok=1).stderr
        elif direct.returncode == 0:
            check(path, engine)
        else:
            assert "ssd.direct = off" in direct.stderr, direct.stderr

    r = figures(path, "--engine", "pread", "--buffered", "--chunk", "64K", "--range", "100000",
                "--offset", "1000", "--bytes", "250000")
    assert (r["bytes"], r["ranges"]) == (250000, 3), r
    assert "MB/s" in bench(path, "--engine", "pread", "--buffered").stdout
    p = bench(f"{tmp}/none", "--engine", "pread", ok=1)
    assert f"{tmp}/none" in p.stderr and p.stderr.count("\n") == 1, p.stderr
    assert "did you mean 'pread'" in bench(path, "--engine", "preed", ok=1).stderr
    assert "nothing at" in bench(path, "--buffered", "--engine", "pread", "--offset", "1G",
                                 ok=1).stderr
    assert "to choose from" in bench(path, "--buffered", "--engine", "pread", "--pattern",
                                     "random", "--range", "1G", ok=1).stderr
    for bad in (["--depth", "0"], ["--chunk", "5000"], ["--chunk", "0"], ["--range", "1T"],
                ["--pattern", "sequ"], ["--reads", "0"], []):
        bench(*([path] if bad else []), *bad, ok=2)


with tempfile.TemporaryDirectory(dir=os.environ.get("M2C_BUILD", ".")) as tmp:
    main(tmp)
