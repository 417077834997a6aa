# SPDX-License-Identifier: MIT
"""Miss counts of m2c replay against libCacheSim's on traces of real models: one
pool, equal sizes, one access at a time, eight capacities. Every number must be
the same. And what is exported comes back and counts the same.

  parity.py M2C SOURCE
"""
import json
import os
import subprocess
import sys
import tempfile

if "M2C_PYTHON" in os.environ and os.environ.get("M2C_REEXEC") is None:
    os.environ["M2C_REEXEC"] = "1"
    os.execv(os.environ["M2C_PYTHON"], [os.environ["M2C_PYTHON"], *sys.argv])
try:
    import libcachesim as lcs
except ImportError:
    print("libcachesim is not installed")
    sys.exit(77)

M2C, SOURCE = sys.argv[1:3]
SHARED = os.environ.get("M2C_SHARED", "")
POLICIES = {"lru": lcs.LRU, "fifo": lcs.FIFO, "lfu": lcs.LFU, "clock": lcs.Clock,
            "sieve": lcs.Sieve, "arc": lcs.ARC, "s3-fifo": lcs.S3FIFO, "2q": lcs.TwoQ,
            "belady": lcs.Belady}
SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)  # of all neurons


def m2c(*args):
    return subprocess.run([M2C, *args], check=True, text=True, capture_output=True).stdout


def replay(path, capacities, *flags):
    out = json.loads(m2c("replay", path, "--policy", ",".join(POLICIES), "--capacity",
                         ",".join(map(str, capacities)), "--unit", "global",
                         "--semantics", "seq", "--json", *flags))
    return out, {(r["policy"], r["capacity"]): r["misses"] for r in out["rows"]}


def theirs(path, policy, capacity, accesses):
    reader = lcs.TraceReader(path, lcs.TraceType.ORACLE_GENERAL_TRACE,
                             lcs.ReaderInitParam())
    cache = POLICIES[policy](cache_size=capacity, hashpower=14)
    ratio, _ = cache.process_trace(reader)
    return round(ratio * accesses)


def compare(name, model, text, tokens, folder):
    trace = os.path.join(folder, name + ".trace.h5")
    general = os.path.join(folder, name + ".oracleGeneral")
    m2c("trace", model, "--text", text, "--split", "<|endoftext|>", "--tokens", tokens,
        "-o", trace)
    m2c("export", trace, "--format", "oracleGeneral", "-o", general)
    with open(trace, "rb") as f:
        size = len(f.read())
    out, _ = replay(trace, [64])
    blocks = out["layers"] * out["neurons"]
    capacities = [int(blocks * s) for s in SHARES]
    out, ours = replay(trace, capacities)
    assert size <= 4 * out["accesses"], f"{size} bytes for {out['accesses']} accesses"
    bad = 0
    for (policy, capacity), misses in ours.items():
        want = theirs(general, policy, capacity, out["accesses"])
        if misses != want:
            print(f"{name}: {policy} at {capacity}: {misses} misses, libCacheSim {want}")
            bad += 1
    print(f"{name}: {len(ours)} counts over {out['accesses']} accesses, {bad} differ; "
          f"{size / out['accesses']:.2f} bytes an access")
    _, back = replay(general, capacities)
    assert back == ours, "the exported trace counts otherwise"
    return bad


def main():
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        tiny = os.path.join(folder, "tiny.h5")
        m2c("import", os.path.join(SOURCE, "data", "tiny"), tiny)
        bad += compare("tiny", tiny, os.path.join(SOURCE, "data", "sample.txt"), "150",
                       folder)
        relu = os.path.join(SHARED, "models", "relu2M")
        if os.path.isdir(relu):
            store = os.path.join(folder, "relu2M.h5")
            m2c("import", os.path.join(relu, "model.bin"), store, "--tokenizer",
                os.path.join(relu, "tokenizer.bin"), "--act", "relu", "--act-shift",
                "0.25", "--input-relu-shift", "1")
            text = os.path.join(SHARED, "text", "tinystories_sample.txt")
            bad += compare("relu2M", store, text, "250", folder)
        else:
            print("relu2M is not here: the shipped model alone was compared")
    return 1 if bad else 0


sys.exit(main())
