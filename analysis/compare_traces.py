#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How far a trace that was drawn is from the recording it was drawn from: overlap of
tokens at several lags, spread of the active count, class changes, and miss ratios of
LRU and ATU at six capacities, which `m2c replay` counts.

  m2c trace MODEL.h5 --text T -o real.trace.h5
  m2c trace --synthetic MODEL.h5 --set selector.trace=real.trace.h5 --tokens N -o drawn.trace.h5
  compare_traces.py real.trace.h5 drawn.trace.h5 [MORE...] [--m2c build/src/tools/m2c] [--json]

Statistics are means over layers, each by its definition; `by layer` is the largest
difference in any layer. The shapes may differ: layers are compared at the same depth,
capacities are shares of all neurons. Traces are read by h5py alone.
"""
import argparse
import json
import subprocess
import sys

import h5py
import numpy as np

LAGS = (1, 2, 5, 20)
CAPACITIES = ("35%", "45%", "55%", "65%", "75%", "90%")
POLICIES = ("lru", "atu")


class Fault(Exception):
    """What is wrong with the input, in one line."""


def classes(path):
    """[tokens][layers][neurons]: class + 1, 0 where inactive."""
    try:
        with h5py.File(path, "r") as f:
            layers, neurons, n = (int(x) for x in f["meta"].attrs["shape"])
            tokens = int(f["meta"].attrs["tokens"])
            count, ids = f["count"][:].reshape(-1), f["id"][:]
    except (OSError, KeyError, ValueError) as e:
        raise Fault(f"{path}: not a trace of m2c ({e})") from e
    where = np.repeat(np.arange(tokens * layers * n), count)
    out = np.zeros((tokens, layers, neurons), np.uint8)
    out[where // (layers * n), where // n % layers, ids] = where % n + 1
    return out


def statistics(c):
    """Of one layer, [tokens][neurons]."""
    active = c > 0
    count = active.sum(1)
    kept = active[1:] & active[:-1]
    frequency = np.sort(active.mean(0))[::-1]
    share = np.cumsum(frequency) / frequency.sum()
    out = {"density": active.mean(),
           "concentration": (np.searchsorted(share, 0.8) + 1) / len(share),
           "spread": count.std() / count.mean(),
           "class_change": ((c[1:] != c[:-1]) & kept).sum() / max(1, kept.sum())}
    for lag in LAGS:
        if lag < len(c):
            out[f"overlap {lag}"] = ((active[lag:] & active[:-lag]).sum() /
                                     max(1, active[lag:].sum()))
    return out


def by_layer(path):
    c = classes(path)
    return [statistics(c[:, layer]) for layer in range(c.shape[1])]


def misses(m2c, path):
    """Miss ratios by (policy, capacity)."""
    run = subprocess.run([m2c, "replay", path, "--policy", ",".join(POLICIES), "--capacity",
                          ",".join(CAPACITIES), "--json"],
                         capture_output=True, text=True, check=False)
    if run.returncode:
        raise Fault((run.stderr.splitlines() or ["m2c replay failed"])[-1])
    rows = json.loads(run.stdout)["rows"]
    names = [(p, c) for p in POLICIES for c in CAPACITIES]
    return {f"miss {p} {c}": r["miss_ratio"] for (p, c), r in zip(names, rows)}


def compare(real, other, real_misses, other_misses):
    """name: (real, other, largest difference in a layer or None)."""
    out = {}
    for name in real[0]:
        if name not in other[0]:
            continue
        pairs = [(real[(2 * i + 1) * len(real) // (2 * len(other))][name], o[name])
                 for i, o in enumerate(other)]
        out[name] = (np.mean([r[name] for r in real]), np.mean([o[name] for o in other]),
                     max((abs(a - b) for a, b in pairs)))
    for name, ratio in real_misses.items():
        out[name] = (ratio, other_misses[name], None)
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("real")
    p.add_argument("drawn", nargs="+")
    p.add_argument("--m2c", help="the program, for miss ratios")
    p.add_argument("--json", action="store_true", help="one JSON object on stdout")
    a = p.parse_args()
    try:
        real = by_layer(a.real)
        real_misses = misses(a.m2c, a.real) if a.m2c else {}
        tables = {d: compare(real, by_layer(d), real_misses,
                             misses(a.m2c, d) if a.m2c else {}) for d in a.drawn}
    except (Fault, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    if a.json:
        keys = ("real", "drawn", "by_layer")
        print(json.dumps({d: {k: dict(zip(keys, (None if x is None else float(x) for x in v)))
                              for k, v in t.items()} for d, t in tables.items()}))
        return 0
    for d, t in tables.items():
        print(f"{a.real} against {d}\n{'':<15}{'real':>9}{'drawn':>9}{'diff':>9}{'by layer':>10}")
        for k, (x, y, layer) in t.items():
            tail = "" if layer is None else f"{layer:10.4f}"
            print(f"{k:<15}{x:9.4f}{y:9.4f}{y - x:+9.4f}{tail}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
