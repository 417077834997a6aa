# SPDX-License-Identifier: MIT
"""Sets that are given, as a user meets them: m2c trace --synthetic, the selectors
synthetic and trace, what is refused and how, and analysis/compare_traces.py."""
import json
import os
import subprocess
import sys
import tempfile

M2C = sys.argv[1]
SOURCE = os.environ["M2C_SOURCE"]
TEXT = os.path.join(SOURCE, "data", "sample.txt")
PYTHON = os.environ.get("M2C_PYTHON", sys.executable)
WANTS = ["--set", "precision.active=auto", "--set", "precision.ratio=25:25:50"]


class Test:
    def __init__(self, tmp):
        self.tmp = tmp
        self.model = self.path("tiny.h5")
        self.real = self.path("real.trace.h5")
        self.run(0, "", "import", os.path.join(SOURCE, "data", "tiny"), self.model)
        self.run(0, "bytes an access", "trace", self.model, "--text", TEXT, "--split",
                 "<|endoftext|>", "--tokens", "60", "-o", self.real)

    def path(self, name):
        return os.path.join(self.tmp, name)

    def run(self, code, say, *args):
        """Runs m2c; the last line of stderr must contain `say`."""
        run = subprocess.run([M2C, *args], capture_output=True, text=True, check=False)
        last = (run.stderr.splitlines() or [""])[-1]
        if "no PCRE2" in run.stderr:
            print("skipped: this build has no PCRE2 for the tokenizer")
            sys.exit(77)
        assert run.returncode == code, f"{args}: exit {run.returncode}: {run.stderr}"
        assert say in last, f"{args}: '{say}' is not in '{last}'"
        if code:  # and the bar of what was under way
            lines = [x for x in run.stderr.splitlines() if not x.startswith("scoring: ")]
            assert len(lines) == 1 and not run.stdout, run.stderr
        return run.stdout

    def ppl(self, *flags):
        out = json.loads(self.run(0, "", "ppl", self.model, "--text", TEXT, "--split",
                                  "<|endoftext|>", "--tokens", "60", "--json", *WANTS, *flags))
        return out["nll_per_token"]

    def test_replayed(self):
        """The recording's sets give the recording's numbers, to the last digit."""
        true = self.ppl("--set", "selector.kind=oracle")
        again = self.ppl("--set", "selector.kind=trace", "--set", f"selector.trace={self.real}")
        assert true == again, (true, again)
        drawn = self.ppl("--set", "selector.kind=synthetic")
        assert drawn == self.ppl("--set", "selector.kind=synthetic") != true
        other = self.ppl("--set", "selector.kind=synthetic", "--set", "experiment.seed=2")
        assert drawn != other

    def test_drawn(self):
        """Without a model, of a known shape or another."""
        t = self.path("drawn.trace.h5")
        self.run(0, "20 tokens, 4 layers of 700 neurons", "trace", "--synthetic", "--preset",
                 "1b", "--layers", "4", "--neurons", "700", "--tokens", "20", "-o", t, "--set",
                 "selector.density=0.2")
        out = json.loads(self.run(0, "", "replay", t, "--policy", "lru", "--capacity", "50%",
                                  "--json"))
        assert (out["selector"], out["layers"], out["neurons"]) == ("synthetic", 4, 700), out
        assert 0.15 < out["accesses"] / (20 * 4 * 700) < 0.25
        self.run(0, "20 tokens, 9 layers of 500", "trace", "--synthetic", self.model,
                 "--layers", "9", "--neurons", "500", "--tokens", "20", "-o", t, "--set",
                 f"selector.trace={self.real}")

    def test_compared(self):
        """Drawn traces beside the recording; the miss ratios are m2c replay's."""
        t = {fit: self.path(f"{fit}.trace.h5") for fit in ("blocks", "numbers")}
        for fit, path in t.items():
            self.run(0, "", "trace", "--synthetic", self.model, "--tokens", "200", "-o", path,
                     "--set", f"selector.trace={self.real}", "--set", f"selector.fit={fit}")
        script = os.path.join(SOURCE, "analysis", "compare_traces.py")
        if subprocess.run([PYTHON, "-c", "import h5py, numpy"], capture_output=True,
                          check=False).returncode:
            print("no h5py: not compared")
            return
        run = subprocess.run([PYTHON, script, self.real, self.real, *t.values(), "--m2c", M2C,
                              "--json"], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        tables = json.loads(run.stdout)
        for name, v in tables[self.real].items():
            assert v["real"] == v["drawn"], (name, v)
        for path in t.values():
            table = tables[path]
            assert len([k for k in table if k.startswith("miss ")]) == 12
            for name, v in table.items():
                assert abs(v["real"] - v["drawn"]) < 0.12, (path, name, v)
            assert table["overlap 1"]["drawn"] > table["overlap 20"]["drawn"]
        run = subprocess.run([PYTHON, script, TEXT, TEXT], capture_output=True, text=True,
                             check=False)
        assert run.returncode == 1 and run.stderr.count("\n") == 1, run.stderr

    def test_refused(self):
        t = self.path("x.trace.h5")
        draw = ("trace", "--synthetic", "--preset", "1b", "--tokens", "5", "-o", t)
        self.run(2, "selector.overlap is 0.2, possible with", *draw, "--set",
                 "selector.overlap=0.2")
        self.run(2, "exclude each other", *draw, "--set", "selector.overlap=0.7", "--set",
                 f"selector.trace={self.real}")
        self.run(2, "is of 6 layers of 768 neurons, the model has 22 of 5632", *draw, "--set",
                 "selector.kind=trace", "--set", f"selector.trace={self.real}")
        self.run(2, "needs a model that runs", *draw, "--set", "selector.kind=oracle",
                 "--set", "precision.active=0.5")
        self.run(2, "--preset", "trace", "--synthetic", "--tokens", "5", "-o", t)
        self.run(2, "no --text", *draw, "--text", TEXT)
        self.run(2, "go with --synthetic", "trace", self.model, "--text", TEXT, "-o", t,
                 "--layers", "3")
        self.run(1, "ends after 60 tokens", "ppl", self.model, "--text", TEXT, "--tokens",
                 "80", *WANTS, "--set", "selector.kind=trace", "--set",
                 f"selector.trace={self.real}")
        assert not os.path.exists(t)


with tempfile.TemporaryDirectory() as folder:
    test = Test(folder)
    for name in sorted(dir(test)):
        if name.startswith("test_"):
            getattr(test, name)()
            print("ok", name)
