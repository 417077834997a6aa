# SPDX-License-Identifier: MIT
"""m2c-exp on a simulated machine, as a user meets it: the first line and every record say so, the
same config gives the same bytes but for clocks, made-up sets pay for their predictor, and what
cannot be is refused with what would. Standard library only."""
import json
import os
import subprocess
import sys
import tempfile

m2c_exp = sys.argv[1]
source = os.environ["M2C_SOURCE"]
CONFIG = f"""
[experiment]
kinds = decode
[model]
synth = 1b
dense = i8
[device]
backend = sim
profile = {source}/configs/devices/m40.ini
[dram]
bytes = 1G
[ssd]
engine = sim
[precision]
active = auto
[selector]
kind = synthetic
density = 0.1
[decode]
prompt_tokens = 4
new_tokens = 3
ctx = 64
[sweep]
hbm.bytes = 64M | 256M
precision.ratio = 25:25:50 | 0:0:100
"""
CLOCKS = ("sim_wall", "sim_accesses_s")


def run(folder, *args, ok=0):
    p = subprocess.run([m2c_exp, config, "-o", f"{work}/{folder}", *args], capture_output=True,
                       text=True)
    if p.returncode != ok:
        sys.exit(f"{args}: exit {p.returncode}, expected {ok}\n{p.stdout}\n{p.stderr}")
    return p


def lines(folder):
    """The journal, without what no two runs share."""
    out = []
    with open(f"{work}/{folder}/results.jsonl") as f:
        for line in f:
            r = json.loads(line)
            del r["started"], r["config"]["output.dir"]
            for name in CLOCKS:
                assert r["figures"][name]["how"] == "measured", r["figures"][name]
                del r["figures"][name]
            out.append(json.dumps(r))
    return out


def figure(line, name):
    return json.loads(line)["figures"][name]["value"]


with tempfile.TemporaryDirectory() as work:
    config = f"{work}/sim.ini"
    with open(config, "w") as f:
        f.write(CONFIG)
    first = run("a").stdout.splitlines()[0]
    assert first.startswith("SIMULATED, nothing is measured: Tesla M40"), first
    run("b")
    a, b = lines("a"), lines("b")
    assert len(a) == 4 and a == b, "the same config gave other records"
    for line in a:
        r = json.loads(line)
        assert "simulated" in r["labels"], r["labels"]
        hows = {f["how"] for f in r["figures"].values()}
        assert hows <= {"simulated", "unavailable"}, hows
        for name in ("decode_tok_s", "energy.gpu", "energy_total", "carbon", "ttft"):
            assert r["figures"][name]["how"] == "simulated", (name, r["figures"][name])

    # more cache, more hits, no slower; one plane, fewer bytes than three
    assert figure(a[0], "hit_ratio_hbm") < figure(a[2], "hit_ratio_hbm")
    assert figure(a[0], "decode_tok_s") <= figure(a[2], "decode_tok_s")
    assert figure(a[0], "hbm_bytes_moved") > figure(a[1], "hbm_bytes_moved")

    # a predictor takes time and memory: dim and neurons by width at i8, in 22 layers
    run("free", "--set", "selector.width=0")
    free = lines("free")
    more = figure(a[0], "device_bytes_peak") - figure(free[0], "device_bytes_peak")
    assert 22 * (2048 + 5632) * 1024 < more < 22 * (2048 + 5632) * 1024 * 1.2, more
    assert figure(a[0], "decode_tok_s") < figure(free[0], "decode_tok_s")

    # a faster SSD, and another card
    other = f"{work}/ssd.ini"
    with open(other, "w") as f:
        f.write("[ssd]\nname = x\ngb_s = 14\niops = 2e6\nlatency_us = 20\ndepth = 256\n"
                "idle_w = 1\nbusy_w = 9\n")
    small = ("--set", "dram.bytes=400M", "--set", "hbm.bytes=64M", "--set",
             "precision.ratio=25:25:50")
    run("slow", *small)
    run("fast", *small, "--set", f"ssd.profile={other}")
    slow, fast = lines("slow")[0], lines("fast")[0]
    assert figure(fast, "decode_tok_s") > 1.5 * figure(slow, "decode_tok_s")
    assert figure(fast, "ssd_bytes_moved") == figure(slow, "ssd_bytes_moved") > 0

    # what cannot be
    one = ("--set", "hbm.bytes=64M", "--set", "precision.ratio=25:25:50")
    for args, says in (
        (("--set", "ssd.engine=pread"), "ssd.engine = sim"),
        (("--set", "selector.kind=oracle", "--set", "precision.active=0.1"), "true activations"),
        (("--set", "device.backend=cpu", "--set", "ssd.engine=pread"), "without weights"),
        (("--set", "meter.sources=rapl"), "meter.sources"),
        (("--set", "decode.temperature=1"), "no logits"),
        (("--set", "decode.prompt=Hello"), "no tokenizer"),
        (("--set", "hbm.bytes=30G", "--set", "dram.bytes=4G"), None),
        (("--set", "dram.bytes=80G", "--set", "model.synth=70b-relu"), "simulated host"),
        (("--set", "model.synth=70b-relu", "--set", "dram.bytes=40G", "--set",
          "hbm.bytes=14G"), "would fit"),
        (("--set", "model.dense=f16", "--set", "model.synth=70b-relu", "--set",
          "dram.bytes=40G"), "dense weights"),
        (("--set", "experiment.kinds=ppl"), "no text is named"),
    ):
        folder = f"bad{len(os.listdir(work))}"
        p = run(folder, *one, *args, ok=3 if says else 0)
        assert says is None or says in p.stdout, (args, p.stdout)
    p = subprocess.run([m2c_exp, config, "-o", f"{work}/x", "--set", "device.profile=/nowhere.ini"],
                       capture_output=True, text=True)
    assert p.returncode == 2 and "/nowhere.ini" in p.stderr, p.stderr
    p = run("x71", *one, "--set", "model.synth=71b", ok=3)
    assert "70b" in p.stdout, p.stdout
