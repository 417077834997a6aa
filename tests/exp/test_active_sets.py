# SPDX-License-Identifier: MIT
"""Experiments `overlap` and `sparsity` beside numpy on the trace of the same text, which
`m2c trace` records and `m2c export` writes as a table.

test_active_sets.py M2C M2C_EXP"""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "import"))
import dump as d  # noqa: E402

d.need("numpy")
import numpy as np  # noqa: E402

m2c, m2c_exp = sys.argv[1:3]
source = os.environ["M2C_SOURCE"]
LAYERS, NEURONS, TOKENS = 6, 768, 90
BYTES = {1152: 1, 612: 2, 324: 3}


def run(*args):
    p = subprocess.run(args, capture_output=True, text=True, check=False)
    if "PCRE2" in p.stderr:
        print("skipped: the shipped model needs PCRE2, which this build lacks")
        sys.exit(77)
    assert p.returncode == 0, (args, p.stderr)


def figures(tmp, store, kind):
    keys = {"experiment.kinds": kind, "model.path": store, "text.tokens": TOKENS,
            "text.file": f"{source}/data/sample.txt", "text.split": ""}
    run(m2c_exp, f"{source}/configs/{kind}.ini", "-o", f"{tmp}/{kind}",
        *(x for k, v in keys.items() for x in ("--set", f"{k}={v}")))
    with open(f"{tmp}/{kind}/results.jsonl", encoding="utf-8") as f:
        record = json.loads(f.readline())
    assert record["status"] == "ok", record["error"]
    return record


def same(record, name, want):
    got = record["figures"][name]["value"]
    assert abs(got - want) <= 1e-9 * max(1, abs(want)), (name, got, want)


def trace(tmp, store):
    """u8[tokens][layers][neurons]: class + 1, 0 where it is not wanted."""
    run(m2c, "trace", store, "--text", f"{source}/data/sample.txt", "--tokens", str(TOKENS),
        "-o", f"{tmp}/t.h5")
    run(m2c, "export", f"{tmp}/t.h5", "--format", "csv", "--size", "bytes", "-o", f"{tmp}/t.csv")
    table = np.loadtxt(f"{tmp}/t.csv", delimiter=",", skiprows=1, dtype=np.int64)
    out = np.zeros((TOKENS, LAYERS * NEURONS), np.uint8)
    out[table[:, 0] - table[:, 0].min(), table[:, 1]] = [BYTES[b] for b in table[:, 2]]
    return out.reshape(TOKENS, LAYERS, NEURONS)


def check_overlap(record, cls):
    on = cls > 0
    for lag in (1, 2, 5, 20):
        a, b = cls[:-lag], cls[lag:]
        both = ((a > 0) & (b > 0)).sum((0, 2))
        kept = ((a > 0) & (a == b)).sum((0, 2))
        base = (a > 0).sum((0, 2))
        for layer in range(LAYERS):
            same(record, f"overlap_at.{lag}.{layer}", both[layer] / base[layer])
            same(record, f"overlap_class_at.{lag}.{layer}", kept[layer] / base[layer])
        same(record, f"overlap_at.{lag}", both.sum() / base.sum())
        same(record, f"overlap_class_at.{lag}", kept.sum() / base.sum())
        if lag == 1:  # the engine counts these two for every experiment
            same(record, "overlap", both.sum() / base.sum())
            same(record, "class_kept", kept.sum() / both.sum())
    for layer in range(LAYERS):
        f = on[:, layer].mean(0)
        by_class = np.stack([(cls[:, layer] == c).mean(0) for c in (1, 2, 3)])
        count = on[:, layer].sum(1)
        same(record, f"overlap_static.{layer}", (f * f).sum() / f.sum())
        same(record, f"overlap_class_static.{layer}", (by_class ** 2).sum() / f.sum())
        same(record, f"active_count.{layer}", count.mean())
        same(record, f"active_count_var.{layer}", count.var())
        same(record, f"active_count_var_alone.{layer}", (f * (1 - f)).sum())


def check_shape(record, suffix, counts, tokens):
    counts = np.sort(counts.ravel())[::-1]
    total = np.cumsum(counts)
    same(record, "density" + suffix, counts.sum() / (counts.size * tokens))
    same(record, "never_active" + suffix, (counts == 0).mean())
    same(record, "concentration_80" + suffix,
         (np.searchsorted(total, 0.8 * total[-1]) + 1) / counts.size)
    curve = record["samples"]["concentration" + suffix]
    assert len(curve) == 101 and curve[0] == 0 and curve[100] == 1
    for k in (1, 17, 50):
        want = total[int(np.ceil(k * counts.size / 100)) - 1] / total[-1]
        assert abs(curve[k] - want) < 1e-12, (suffix, k, curve[k], want)


def main(tmp):
    store = f"{tmp}/tiny.h5"
    run(m2c, "import", f"{source}/data/tiny", store)
    cls = trace(tmp, store)
    check_overlap(figures(tmp, store, "overlap"), cls)
    record = figures(tmp, store, "sparsity")
    counts = (cls > 0).sum(0)
    for layer in range(LAYERS):
        check_shape(record, f".{layer}", counts[layer], TOKENS)
    check_shape(record, "", counts, TOKENS)
    assert abs(record["figures"]["density"]["value"] -
               record["figures"]["active_fraction"]["value"]) < 1e-12


with tempfile.TemporaryDirectory() as folder:
    main(folder)
