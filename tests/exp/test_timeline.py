# SPDX-License-Identifier: MIT
"""--timeline: a file that says what the counters say. Spans nest, time does not run backwards,
and sums over spans are the figures of the record, to the nanosecond and the byte. Standard
library only."""
import json
import math
import os
import subprocess
import sys
import tempfile
from collections import defaultdict

m2c, m2c_exp = sys.argv[1:3]
source = os.environ["M2C_SOURCE"]
LAYERS, NEW = 6, 5
CONFIG = """
[experiment]
kinds = decode
warmup = 1
[model]
path = {store}
[hbm]
bytes = 10%
[dram]
bytes = 40%
[ssd]
engine = pread
direct = off
lookahead = 1
[decode]
prompt = The
new_tokens = {new}
ignore_eos = on
[sweep]
hbm.policy = atu|lru
"""


def run(*args, ok=(0,)):
    p = subprocess.run(args, capture_output=True, text=True, check=False)
    if p.returncode not in ok:
        sys.exit(f"{args}: exit {p.returncode}\n{p.stdout}\n{p.stderr}")
    return p


def ns(us):
    """Microseconds with three decimals, exactly."""
    return round(us * 1000)


class Trace:
    """One engine's part of a file, checked on the way in."""

    def __init__(self, events):
        self.names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
        self.marks = [ns(e["ts"]) for e in events if e["ph"] == "i"]
        self.spans = defaultdict(list)  # track -> [(from, to, name, args)]
        opened = {}
        for e in events:
            if e["ph"] == "X":
                at = ns(e["ts"])
                self.spans[self.names[e["tid"]]].append((at, at + ns(e["dur"]), e["name"],
                                                         e["args"]))
            elif e["ph"] == "b":
                assert e["id"] not in opened
                opened[e["id"]] = e
            elif e["ph"] == "e":
                b = opened.pop(e["id"])
                self.spans["ssd"].append((ns(b["ts"]), ns(e["ts"]), b["name"], b["args"]))
        assert not opened, "reads that never end"
        for track, spans in self.spans.items():
            spans.sort(key=lambda s: (s[0], -s[1]))
            assert all(a <= b for a, b, *_ in spans), track
            if track != "ssd":
                self.check_nesting(track, spans)
        self.check_tokens()

    @staticmethod
    def check_nesting(track, spans):
        stack = []
        for s in spans:
            while stack and stack[-1][1] <= s[0]:
                stack.pop()
            assert not stack or s[1] <= stack[-1][1], (track, stack[-1], s)
            stack.append(s)
            assert len(stack) <= (2 if track == "tokens" else 1), (track, stack)

    def check_tokens(self):
        """Every token has its layers, in order, and all that the host did lies in one."""
        walks = [s for s in self.spans["tokens"] if s[2] in ("token", "prompt")]
        layers = [s for s in self.spans["tokens"] if s[2] == "layer"]
        assert len(layers) == LAYERS * len(walks)
        for w in walks:
            inside = [s for s in layers if w[0] <= s[0] and s[1] <= w[1]]
            assert [s[3]["layer"] for s in inside] == list(range(LAYERS)), w
            assert {s[3]["token"] for s in inside} == {w[3]["token"]}
        for track in ("selection", "tier manager", "compute", "compute waits", "copies"):
            for a, b, name, args in self.spans[track]:
                assert any(w[0] <= a and b <= w[1] and args["token"] == w[3]["token"]
                           for w in walks), (track, name, a, b)
        for a, b, *_ in self.spans["host waits"]:  # the tier manager's
            assert any(s[0] <= a and b <= s[1] for s in self.spans["tier manager"]), (a, b)

    def sum(self, track, *names):
        """ns and bytes of the spans that began after the counters were last reset."""
        mine = [s for s in self.spans[track] if s[0] >= self.marks[-1]
                and (not names or s[2] in names)]
        return sum(s[1] - s[0] for s in mine), sum(s[3].get("bytes", 0) for s in mine)


def load(path):
    with open(path, encoding="utf-8") as f:
        events = json.load(f)["traceEvents"]
    engines = sorted({e["pid"] for e in events} - {0})
    return [Trace([e for e in events if e["pid"] == p]) for p in engines]


def check_figures(trace, record):
    tokens = NEW - 1

    def figure(name):
        return record["figures"][name]["value"] * tokens

    for name, track, *names in (
            ("time_attention", "compute", "attention"), ("time_phase_a", "compute", "phase A"),
            ("time_phase_b", "compute", "phase B"), ("time_select", "compute waits", "selection"),
            ("time_copy_wait", "compute waits", "copies"), ("time_ssd_wait", "host waits"),
            ("time_tier_host", "tier manager"), ("time_select_host", "selection", "pick"),
            ("time_shadow", "selection", "truth")):
        total = trace.sum(track, *names)[0]
        assert math.isclose(total * 1e-9, figure(name), rel_tol=1e-9, abs_tol=1e-12), \
            (name, total, figure(name))
    assert trace.sum("copies")[1] == round(figure("hbm_bytes_moved")) > 0
    assert trace.sum("ssd")[1] == round(figure("ssd_bytes_moved")) > 0


def main(tmp):
    store, config = f"{tmp}/tiny.h5", f"{tmp}/c.ini"
    p = run(m2c, "import", f"{source}/data/tiny", store, ok=(0, 1))
    if "PCRE2" in p.stderr:
        print("skipped: the shipped model needs PCRE2, which this build lacks")
        sys.exit(77)
    with open(config, "w", encoding="utf-8") as f:
        f.write(CONFIG.format(store=store, new=NEW))
    run(m2c_exp, config, "-o", f"{tmp}/r", "--timeline", f"{tmp}/t.json")
    with open(f"{tmp}/r/results.jsonl", encoding="utf-8") as f:
        records = [json.loads(line) for line in f]
    traces = load(f"{tmp}/t.json")
    assert len(traces) == len(records) == 2
    for trace, record in zip(traces, records):
        check_figures(trace, record)

    # m2c run, all resident and computed in place: no copies; the same text as without
    args = (m2c, "run", store, "-n", "4", "-p", "The")
    seen = run(*args, "--timeline", f"{tmp}/run.json").stdout
    assert seen == run(*args).stdout
    (trace,) = load(f"{tmp}/run.json")
    assert not trace.spans["copies"] and trace.spans["compute"]
    assert run(*args, "--timeline", f"{tmp}/no/such", ok=(1,)).stderr.count("\n") == 1
    if os.path.exists("/dev/full"):
        assert "/dev/full: No space" in run(*args, "--timeline", "/dev/full", ok=(1,)).stderr


with tempfile.TemporaryDirectory(dir=os.environ.get("M2C_BUILD", ".")) as tmp:
    main(tmp)
