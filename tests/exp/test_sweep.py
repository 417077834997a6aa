# SPDX-License-Identifier: MIT
"""m2c-exp as a user meets it: a sweep, the same sweep killed at random moments and resumed, in
shards and merged; bad configs; points that cannot run. Standard library only."""
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

m2c, m2c_exp = sys.argv[1:3]
source = os.environ["M2C_SOURCE"]
KILLS = int(os.environ.get("M2C_KILLS", "6"))
CONFIG = """
[experiment]
kinds = decode,ppl
repeat = 2
[model]
path = {store}
[dram]
bytes = 100%
[ssd]
engine = pread
direct = off
[decode]
prompt = The
new_tokens = 8
[text]
file = {text}
split = <|endoftext|>
tokens = 12
[sweep]
precision.ratio = 1:0:0|25:25:50
hbm.bytes = 5%|40%
hbm.policy = lru|random
baseline.system = m2cache|dense-resident
"""
POINTS, REPEAT = 9, 2
# figures that a rerun need not give again
CLOCKS = re.compile(r"^(ttft|.*tok_s|.*_tok_s_median|token_p|time_|energy|carbon|rss_peak|page_cache)")


def run(*args, ok=(0,)):
    p = subprocess.run(args, capture_output=True, text=True)
    if p.returncode not in ok:
        sys.exit(f"{args}: exit {p.returncode}\n{p.stdout}\n{p.stderr}")
    return p


def records(folder):
    with open(f"{folder}/results.jsonl") as f:
        return [json.loads(line) for line in f]


def steady(record):
    """What must be equal in every run of a config (I6)."""
    return {"point": record["point"], "rep": record["rep"], "status": record["status"],
            "config": record["config"], "axes": record["axes"], "model": record["model"],
            "figures": {k: v for k, v in record["figures"].items() if not CLOCKS.match(k)}}


def by_key(rs):
    out = {(r["point"], r["rep"]): steady(r) for r in rs}
    assert len(out) == len(rs), "a point is recorded twice"
    return out


def check_same(name, a, b):
    a, b = by_key(a), by_key(b)
    assert a.keys() == b.keys(), f"{name}: {len(a)} and {len(b)} records"
    for k in a:
        for part in a[k]:
            if a[k][part] != b[k][part]:
                diff = a[k][part], b[k][part]
                if part == "figures":
                    diff = {f: (a[k][part].get(f), b[k][part].get(f))
                            for f in a[k][part].keys() | b[k][part].keys()
                            if a[k][part].get(f) != b[k][part].get(f)}
                sys.exit(f"{name}: {k}: {part} differs: {diff}")
    print(f"{name}: {len(a)} records agree")


def main(tmp):
    store, config = f"{tmp}/tiny.h5", f"{tmp}/c.ini"
    p = run(m2c, "import", f"{source}/data/tiny", store, ok=(0, 1))
    if "PCRE2" in p.stderr:
        print("skipped: the shipped model needs PCRE2, which this build lacks")
        sys.exit(77)
    assert p.returncode == 0, p.stderr
    with open(config, "w") as f:
        f.write(CONFIG.format(store=store, text=f"{source}/data/sample.txt"))

    # undisturbed
    p = run(m2c_exp, config, "-o", f"{tmp}/a")
    whole = records(f"{tmp}/a")
    assert len(whole) == POINTS * REPEAT, len(whole)
    assert all(r["status"] == "ok" for r in whole)
    assert f"{POINTS * REPEAT} records" in p.stdout, p.stdout
    for name in ("results.csv", "results.h5", "config.ini"):
        assert os.path.getsize(f"{tmp}/a/{name}") > 0, name
    for r in whole:
        for name, f in r["figures"].items():
            assert f["how"] in ("measured", "simulated", "estimated", "unavailable"), f
            assert (f["value"] is None) == (f["how"] == "unavailable"), (name, f)
    dense = [r for r in whole if r["config"]["baseline.system"] == "dense-resident"]
    assert all(abs(r["figures"]["kl_mean"]["value"]) < 1e-9 for r in dense)

    # the recorded config gives the same points
    assert run(m2c_exp, f"{tmp}/a/config.ini", "--dry-run").stdout == \
        run(m2c_exp, config, "--dry-run").stdout

    # a folder with results
    p = run(m2c_exp, config, "-o", f"{tmp}/a", ok=(1, 2))
    assert "--resume" in p.stderr, p.stderr
    p = run(m2c_exp, config, "-o", f"{tmp}/a", "--resume", "--set", "ssd.lookahead=1", ok=(1, 2))
    assert "lookahead" in p.stderr, p.stderr
    run(m2c_exp, config, "-o", f"{tmp}/a", "--resume")
    check_same("resumed when complete", whole, records(f"{tmp}/a"))

    # killed and resumed
    start = time.time()
    run(m2c_exp, config, "-o", f"{tmp}/timed")
    length = time.time() - start
    rng = random.Random(4)
    for i in range(KILLS):
        p = subprocess.Popen([m2c_exp, config, "-o", f"{tmp}/k", "--resume"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.05, 1.2 * length / KILLS))
        p.send_signal(signal.SIGKILL)
        p.wait()
    if os.path.exists(f"{tmp}/k/results.jsonl"):
        with open(f"{tmp}/k/results.jsonl", "ab") as f:
            f.write(b'{"point":"torn')
    run(m2c_exp, config, "-o", f"{tmp}/k", "--resume")
    check_same(f"killed {KILLS} times", whole, records(f"{tmp}/k"))

    # interrupted politely
    p = subprocess.Popen([m2c_exp, config, "-o", f"{tmp}/i"], stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True)
    time.sleep(length / 3)
    p.send_signal(signal.SIGINT)
    _, text = p.communicate()
    assert p.returncode == 130, (p.returncode, text)
    run(m2c_exp, config, "-o", f"{tmp}/i", "--resume")
    check_same("interrupted", whole, records(f"{tmp}/i"))

    # in shards
    for i in range(3):
        run(m2c_exp, config, "-o", f"{tmp}/s{i}", "--shard", f"{i}/3")
    run(m2c_exp, "merge", f"{tmp}/s0", f"{tmp}/s1", f"{tmp}/s2", "-o", f"{tmp}/m")
    check_same("three shards", whole, records(f"{tmp}/m"))
    assert [(r["rep"], r["index"]) for r in records(f"{tmp}/m")] == \
        sorted((r["rep"], r["index"]) for r in whole)
    run(m2c_exp, "merge", f"{tmp}/s0", f"{tmp}/s0", "-o", f"{tmp}/m2", ok=(1,))

    # a point that cannot run fails by itself
    p = run(m2c_exp, config, "-o", f"{tmp}/f", "--set", "sweep.hbm.bytes=1|40%", ok=(3,))
    rs = records(f"{tmp}/f")
    failed = [r for r in rs if r["status"] == "failed"]
    assert failed and len(failed) < len(rs)
    assert all("smallest that would do" in r["error"] for r in failed)
    assert "FAILED" in p.stdout

    # bad input: exit 2, one line with the place
    bad = [
        ("[hbm]\npolcy = lru\n", ["bad.ini:2", "polcy", "policy"]),
        ("[hbm]\npolicy = lrru\n", ["bad.ini:2", "lrru", "lru"]),
        ("[hbm]\nbytes = 12Q\n", ["bad.ini:2", "12Q"]),
        ("[hmb]\nbytes = 12\n", ["hmb", "hbm"]),
        ("[precision]\nratio = 1:x\n", ["bad.ini:2", "ratio"]),
        ("[sweep]\nhbm.polcy = lru|atu\n", ["bad.ini:2", "polcy"]),
        ("[experiment]\nkinds = decod\n", ["decod", "decode"]),
    ]
    for text, words in bad:
        with open(f"{tmp}/bad.ini", "w") as f:
            f.write(text)
        p = run(m2c_exp, f"{tmp}/bad.ini", "-o", f"{tmp}/none", ok=(2,))
        assert all(w in p.stderr for w in words), (text, p.stderr)
        assert p.stderr.count("\n") == 1 and not os.path.exists(f"{tmp}/none"), p.stderr
    run(m2c_exp, f"{tmp}/no.ini", ok=(2,))
    run(m2c_exp, config, "--shard", "3/3", ok=(2,))
    run(m2c_exp, ok=(2,))
    p = run(m2c_exp, config, "-o", f"{tmp}/g", "--set", "model.path=/nowhere.h5", ok=(3,))
    assert "/nowhere.h5" in p.stderr


with tempfile.TemporaryDirectory() as tmp:
    main(tmp)
