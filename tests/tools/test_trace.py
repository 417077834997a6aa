# SPDX-License-Identifier: MIT
"""m2c trace, replay and export as a user meets them: what they say, exit codes,
one line for each fault, nothing left behind."""
import json
import os
import subprocess
import sys
import tempfile

M2C = sys.argv[1]
SOURCE = os.environ["M2C_SOURCE"]
TEXT = os.path.join(SOURCE, "data", "sample.txt")


class Test:
    def __init__(self, tmp):
        self.tmp = tmp
        self.model = self.path("tiny.h5")
        self.trace = self.path("tiny.trace.h5")
        self.run(0, "", "import", os.path.join(SOURCE, "data", "tiny"), self.model)
        self.run(0, "bytes an access", "trace", self.model, "--text", TEXT, "--split",
                 "<|endoftext|>", "--tokens", "40", "-o", self.trace)

    def path(self, *parts):
        return os.path.join(self.tmp, *parts)

    def run(self, code, say, *args):
        """Runs m2c; the last line of stderr must contain `say`."""
        run = subprocess.run([M2C, *args], capture_output=True, text=True, check=False)
        last = (run.stderr.splitlines() or [""])[-1]
        if "no PCRE2" in run.stderr:
            print("skipped: this build has no PCRE2 for the tokenizer")
            sys.exit(77)
        assert run.returncode == code, f"{args}: exit {run.returncode}: {run.stderr}"
        assert say in last, f"{args}: '{say}' is not in '{last}'"
        if code:
            assert len(run.stderr.splitlines()) == 1 and not run.stdout, run.stderr
        return run.stdout

    def replay(self, *flags):
        return json.loads(self.run(0, "", "replay", self.trace, "--json", *flags))

    def test_the_curve(self):
        """All policies, four capacities: none below `min`, counts that add up."""
        caps = ["300", "20%", "30%", "60%"]
        for unit in ("layer", "global"):
            for semantics in ("token", "seq"):
                out = self.replay("--policy", "all", "--capacity", ",".join(caps),
                                  "--unit", unit, "--semantics", semantics)
                assert (out["layers"], out["neurons"], out["tokens"]) == (6, 768, 40)
                rows = {(r["policy"], r["capacity"]): r for r in out["rows"]}
                sizes = sorted({c for _, c in rows})
                assert sizes == [300, 921, 1382, 2764], sizes
                for (policy, c), r in rows.items():
                    assert r["hits"] + r["misses"] == r["accesses"] == out["accesses"]
                    assert r["misses"] >= rows["min", c]["misses"], (policy, c)
                    assert 0 < r["metadata_bytes"] <= 32
                    assert r["bypassed"] == 0 or policy == "min"
                for lru in [[rows["lru", c]["misses"] for c in sizes]]:
                    assert lru == sorted(lru, reverse=True) and lru[0] > lru[-1]

    def test_threads_do_not_show(self):
        flags = ("--policy", "atu,random,arc,score", "--capacity", "10%,50%")
        outs = [self.replay(*flags, "--threads", n) for n in ("1", "4")]
        for out in outs:
            for row in out["rows"]:
                del row["core_seconds"]
        assert outs[0] == outs[1]

    def test_bytes(self):
        """With room for everything, each neuron is fetched once a class that it is
        wanted at after another; with sizes the capacity is in bytes."""
        out = self.replay("--policy", "lru,gdsf", "--capacity", "2M", "--size", "bytes")
        assert [r["capacity"] for r in out["rows"]] == [2 << 20, 2 << 20]
        all_of_it = self.replay("--policy", "lru", "--capacity", "100%", "--size", "bytes")
        assert all_of_it["rows"][0]["evictions"] == 0
        assert all_of_it["rows"][0]["misses"] < out["rows"][0]["misses"]
        self.run(2, "bounds nothing", "replay", self.trace, "--policy", "min",
                 "--capacity", "2M", "--size", "bytes")

    def test_static(self):
        rank = self.path("tiny.rank.h5")
        self.run(0, "", "rank", self.model, "--text", TEXT, "--split", "<|endoftext|>",
                 "--tokens", "60", "-o", rank)
        out = self.replay("--policy", "static", "--capacity", "20%", "--rank", rank)
        row = out["rows"][0]
        assert row["evictions"] == 0 and row["bypassed"] > 0
        self.run(2, "needs a rank file", "replay", self.trace, "--policy", "static",
                 "--capacity", "20%")
        self.run(2, "needs a rank file", "plan", self.model, "--set", "hbm.policy=static")

    def test_export_and_back(self):
        general, csv = self.path("x.oracleGeneral"), self.path("x.csv")
        self.run(0, "", "export", self.trace, "--format", "oracleGeneral", "-o", general)
        self.run(0, "", "export", self.trace, "--format", "csv", "--size", "bytes", "-o", csv)
        flags = ("--policy", "lru,sieve,belady,min", "--capacity", "500")
        ours = self.replay(*flags, "--unit", "global", "--semantics", "seq")
        back = json.loads(self.run(0, "", "replay", general, "--json", *flags))
        assert [r["misses"] for r in ours["rows"]] == [r["misses"] for r in back["rows"]]
        assert os.path.getsize(general) == 24 * ours["accesses"]
        with open(csv, encoding="ascii") as f:
            lines = f.read().splitlines()
        assert len(lines) == ours["accesses"] + 1 and lines[0].startswith("time,obj_id")
        with open(general, "r+b") as f:
            f.truncate(24 * 100 + 5)
        self.run(1, "cut short", "replay", general, *flags)

    def test_faults(self):
        replay = ("replay", self.trace)
        self.run(2, "--policy and --capacity", *replay)
        self.run(2, "did you mean 'sieve'", *replay, "--policy", "seive", "--capacity", "9")
        self.run(2, "an empty word", *replay, "--policy", "lru,", "--capacity", "9%")
        self.run(2, "--capacity 1x", *replay, "--policy", "lru", "--capacity", "1x")
        self.run(2, "less than one", *replay, "--policy", "lru", "--capacity", "5")
        self.run(2, "--format and -o", "export", self.trace)
        self.run(1, "No such file", "replay", self.path("no"), "--policy", "lru",
                 "--capacity", "9%")
        self.run(1, "not a", "replay", self.model, "--policy", "lru", "--capacity", "9%")
        for policy in ("belady", "min"):
            self.run(2, "m2c replay", "run", self.model, "--set", "hbm.policy=" + policy)
        with open(self.trace, "rb") as f:
            whole = f.read()
        bad = self.path("bad.trace.h5")
        for n in (0, 100, 4096, 9000, len(whole) - 1):
            with open(bad, "wb") as f:
                f.write(whole[:n])
            self.run(1, bad, "replay", bad, "--policy", "lru", "--capacity", "9%")
        self.run(1, "/nonexistent", "trace", self.model, "--text", TEXT, "--tokens", "3",
                 "-o", "/nonexistent/x.trace.h5")
        assert not [n for n in os.listdir(self.tmp) if "part" in n]


def main():
    with tempfile.TemporaryDirectory() as tmp:
        test = Test(tmp)
        for name in sorted(n for n in dir(test) if n.startswith("test_")):
            getattr(test, name)()
            print("ok", name)


main()
