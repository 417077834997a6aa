# SPDX-License-Identifier: MIT
"""[baseline] system and the ablation: what each moves is what a hand computes from the shape of
the model, and what contradicts a system is refused. Standard library only."""
import json
import math
import os
import subprocess
import sys
import tempfile

m2c, m2c_exp = sys.argv[1:3]
source = os.environ["M2C_SOURCE"]
LAYERS, NEURONS, DIM, PAGE = 6, 768, 192, 4096
# a neuron's record: three vectors of codes, and an f16 scale for each group of 32
RECORD = {"f16": 3 * DIM * 2, "i8": 3 * (DIM + DIM // 32 * 2), "i4": 3 * (DIM // 2 + DIM // 32 * 2)}
ONE = {"f16": "1:0:0", "i8": "0:1:0", "i4": "0:0:1"}
# 3 % of 768, fewer than ReLU leaves in any layer; by largest remainder of 25:25:50
ACTIVE = 23
MIX = {"f16": 6, "i8": 6, "i4": 11}
MIXED = LAYERS * sum(n * RECORD[c] for c, n in MIX.items())
NEW = 4
CONFIG = """
[experiment]
kinds = {kinds}
[model]
path = {tmp}/tiny.h5
rank = {rank}
[ssd]
engine = pread
direct = off
lookahead = 1
[decode]
new_tokens = {new}
ignore_eos = on
prefill = sparse
"""
CACHED = {"active": 0.03, "hbm": "20%", "dram": 3 * sum(-(-NEURONS * r // PAGE) * PAGE
                                                         for r in RECORD.values())}
runs = 0


def run(*args, ok=(0,)):
    p = subprocess.run(args, capture_output=True, text=True, check=False)
    if p.returncode not in ok:
        sys.exit(f"{args}: exit {p.returncode}\n{p.stdout}\n{p.stderr}")
    return p


def block(*classes):
    """Bytes of one layer in DRAM."""
    return sum(-(-NEURONS * RECORD[c] // PAGE) * PAGE for c in classes)


def sweep(tmp, *sets, kinds="decode", dram=None, active=None, hbm=None, rank="", ok=(0,)):
    """The records of a run, or its message. Keys that are not named are not set."""
    keys = {"dram.bytes": dram, "precision.active": active, "hbm.bytes": hbm}
    sets = *sets, *(f"{k}={v}" for k, v in keys.items() if v is not None)
    global runs
    runs += 1
    with open(f"{tmp}/c{runs}.ini", "w", encoding="utf-8") as f:
        f.write(CONFIG.format(kinds=kinds, tmp=tmp, rank=rank, new=NEW))
    p = run(m2c_exp, f"{tmp}/c{runs}.ini", "-o", f"{tmp}/r{runs}",
            *[x for s in sets for x in ("--set", s)], ok=ok)
    if p.returncode == 2:
        return p.stderr
    with open(f"{tmp}/r{runs}/results.jsonl", encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def figures(record):
    assert record["status"] == "ok", record["error"]
    return {k: v["value"] for k, v in record["figures"].items()}


def close(a, b):
    return math.isclose(a, b, rel_tol=1e-12)


def dense(tmp):
    (r,) = sweep(tmp, "baseline.system=dense-resident")
    f = figures(r)
    assert f["hbm_bytes_wanted"] == f["ssd_bytes_wanted"] == 0 and f["hit_ratio_hbm"] == 1
    assert close(f["ffn_bytes_read"], LAYERS * NEURONS * RECORD["f16"])

    for name, ratio in ONE.items():
        whole = LAYERS * NEURONS * RECORD[name]
        (r,) = sweep(tmp, "baseline.system=dense-stream", f"precision.ratio={ratio}",
                     hbm="20%", dram=3 * block(name))
        f = figures(r)
        assert f["hit_ratio_hbm"] == 0 and close(f["hbm_bytes_wanted"], whole), (name, f)
        assert close(f["ssd_bytes_wanted"], whole) and close(f["ffn_bytes_read"], whole)
    # nothing but the SSD where the device computes from DRAM
    (r,) = sweep(tmp, "baseline.system=dense-stream", "precision.ratio=0:0:1", hbm=0,
                 dram=3 * block("i4"))
    f = figures(r)
    assert f["hbm_bytes_wanted"] == 0
    assert close(f["ssd_bytes_wanted"], LAYERS * NEURONS * RECORD["i4"])


def fit(tmp):
    """One page less, and the next class is taken; what is resident moves nothing."""
    for dram, name in ((LAYERS * block("f16"), "f16"), (LAYERS * block("f16") - 1, "i8"),
                       (LAYERS * block("i8"), "i8"), (LAYERS * block("i8") - 1, "i4"),
                       (LAYERS * block("i4"), "i4")):
        (r,) = sweep(tmp, "baseline.system=fit-resident", hbm=0, dram=dram)
        f = figures(r)
        assert r["labels"] == [f"fits: {name}"], (dram, r["labels"])
        assert f["hbm_bytes_wanted"] == f["ssd_bytes_wanted"] == 0
        assert close(f["ffn_bytes_read"], LAYERS * NEURONS * RECORD[name])
    (r,) = sweep(tmp, "baseline.system=fit-resident", hbm=0, dram=LAYERS * block("i4") - 1,
                 ok=(3,))
    assert "hold all neurons at no class" in r["error"] and str(LAYERS * block("i4")) in r["error"]
    # units have vectors on 64 bytes: a share of the f16 slots that i8's just fill
    slot = 3 * -(-(DIM + DIM // 32 * 2) // 64) * 64
    (r,) = sweep(tmp, "baseline.system=fit-resident", hbm=LAYERS * NEURONS * slot,
                 dram=LAYERS * block("f16"))
    assert r["labels"] in (["fits: i8"], ["fits: i4"]), r["labels"]
    f = figures(r)
    assert f["hit_ratio_hbm"] == 1 and f["hbm_bytes_wanted"] == f["ssd_bytes_wanted"] == 0


def sparse(tmp, rank):
    (r,) = sweep(tmp, "baseline.system=mp-only", **CACHED)
    f = figures(r)
    assert f["hit_ratio_hbm"] == 0 and close(f["hbm_bytes_wanted"], MIXED), f["hbm_bytes_wanted"]
    assert close(f["ffn_bytes_read"], MIXED)

    got = {}
    for system in ("cache-only", "hot-static", "window"):
        (r,) = sweep(tmp, f"baseline.system={system}", rank=rank, **CACHED)
        f = figures(r)
        once = LAYERS * ACTIVE * RECORD["f16"]
        assert f["mean_bits"] == 16 and close(f["ffn_bytes_read"], once)
        assert 0 < f["hit_ratio_hbm"] < 1
        assert close(f["hbm_bytes_wanted"], (1 - f["hit_ratio_hbm"]) * once), system
        got[system] = r["config"]["hbm.policy"]
    assert got == {"cache-only": "atu", "hot-static": "static", "window": "window"}


def refusals(tmp):
    for sets, words in (
            (("baseline.system=mp-only", "hbm.policy=lru"),
             "hbm] policy = lru contradicts [baseline] system = mp-only, which sets it to 'none'"),
            (("baseline.system=window", "precision.ratio=25:25:50"), "precision] ratio = 25:25:50"),
            (("baseline.system=fit-resident", "precision.ratio=0:0:1"), "contradicts"),
            (("baseline.system=dense-stream", "selector.kind=oracle"), "selector] kind = oracle"),
            (("baseline.system=denseresident",), "did you mean 'dense-resident'")):
        message = sweep(tmp, *sets, ok=(2,))
        assert words in message and message.count("\n") == 1, (sets, message)
    # the same value is no contradiction, and a sweep over systems sets what each needs
    assert len(sweep(tmp, "baseline.system=mp-only", "hbm.policy=none", **CACHED)) == 1
    rs = sweep(tmp, "sweep.baseline.system=m2cache|mp-only|dense-resident",
               "sweep.precision.ratio=1:0:0|25:25:50", "hbm.policy=lru", **CACHED)
    assert len(rs) == 2 + 2 + 1, [r["axes"] for r in rs]
    assert {r["config"]["hbm.policy"] for r in rs} == {"lru", "none"}


def ablation(tmp):
    (r,) = sweep(tmp, "dram.fixed_layers=1", kinds="ablation", **CACHED)
    f = figures(r)
    steps = ("stream", "select", "mixed", "cache", "fixed", "ahead")

    def series(name):
        return [f[f"ablation_{name}.{s}"] for s in steps]

    hits, hbm, ssd = series("hit_ratio"), series("hbm_bytes"), series("ssd_bytes")
    assert hits[:3] == [0, 0, 0] and 0 < hits[3] == hits[4] == hits[5] < 1, hits
    assert close(hbm[0], LAYERS * NEURONS * RECORD["f16"])
    assert close(hbm[1], LAYERS * ACTIVE * RECORD["f16"])
    assert close(hbm[2], MIXED)
    assert hbm[2] > hbm[3] == hbm[4] == hbm[5] > 0
    # five of six layers fit at f16, three in all classes: first in, first out keeps none of
    # them for its next turn, but for the one that is fixed
    per_layer = NEURONS * sum(RECORD.values())
    assert close(ssd[0], LAYERS * NEURONS * RECORD["f16"]) and ssd[1] == ssd[0], ssd
    assert close(ssd[2], LAYERS * per_layer) and ssd[3] == ssd[2], ssd
    assert close(ssd[4], (LAYERS - 1) * per_layer) and close(ssd[5], ssd[4]), ssd
    assert all(t > 0 for t in series("tok_s"))
    assert "ablation goes from" in sweep(tmp, "baseline.system=mp-only", kinds="ablation",
                                         ok=(3,), **CACHED)[0]["error"]


def main(tmp):
    p = run(m2c, "import", f"{source}/data/tiny", f"{tmp}/tiny.h5", ok=(0, 1))
    if "PCRE2" in p.stderr:
        print("skipped: the shipped model needs PCRE2, which this build lacks")
        sys.exit(77)
    rank = f"{tmp}/tiny.rank.h5"
    run(m2c, "rank", f"{tmp}/tiny.h5", "--text", f"{source}/data/sample.txt", "--tokens", "100",
        "-o", rank)
    dense(tmp)
    fit(tmp)
    sparse(tmp, rank)
    refusals(tmp)
    ablation(tmp)


with tempfile.TemporaryDirectory(dir=os.environ.get("M2C_BUILD", ".")) as tmp:
    main(tmp)
