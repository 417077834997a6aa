# SPDX-License-Identifier: MIT
"""m2c synth as a user meets it: what the store and the records say, exit codes, memory."""
import json
import os
import resource
import subprocess
import sys
import tempfile

M2C = sys.argv[1]


class Test:
    def __init__(self, tmp):
        self.tmp = tmp

    def path(self, name):
        return os.path.join(self.tmp, name)

    def run(self, code, say, *args):
        """Runs m2c; the last line of stderr must contain `say`."""
        run = subprocess.run([M2C, *args], capture_output=True, text=True, check=False)
        last = (run.stderr.splitlines() or [""])[-1]
        assert run.returncode == code, f"{args}: exit {run.returncode}: {run.stderr}"
        assert say in last, f"{args}: '{say}' is not in '{last}'"
        if code:
            assert len(run.stderr.splitlines()) == 1 and not run.stdout, run.stderr
        return run.stdout

    def test_presets(self):
        """The help names them; sizes given by hand replace a preset's."""
        text = self.run(0, "", "synth", "--help")
        for name in ("tiny", "1b", "7b", "13b", "40b-falcon", "70b", "7b-relu"):
            assert f"\n  {name} " in text, name
        a = self.path("a.h5")
        self.run(0, "random weights", "synth", a, "--preset", "tiny", "--layers", "2",
                 "--hidden", "70", "--seed", "9", "--layout", "planes", "--act", "silu")
        model = json.loads(self.run(0, "", "info", a, "--json"))["model"]
        assert (model["layers"], model["hidden"], model["dim"]) == (2, 70, 52), model
        assert (model["act"], model["synthetic"]) == ("silu", "random weights, seed 9")
        assert "random weights, seed 9" in self.run(0, "", "info", a)
        self.run(0, "", "verify", a)

    def test_own_shape(self):
        b = self.path("b.h5")
        self.run(0, "own shape", "synth", b, "--dim", "64", "--hidden", "96", "--layers",
                 "2", "--heads", "4", "--vocab", "300", "--no-gate")
        model = json.loads(self.run(0, "", "info", b, "--json"))["model"]
        assert (model["heads"], model["kv_heads"], model["head_dim"]) == (4, 4, 16)
        assert not model["has_gate"]

    def test_bytes(self):
        """One seed, one file; another, another."""
        def bytes_of(seed):
            self.run(0, "", "synth", self.path("c.h5"), "--preset", "tiny", "--seed", seed,
                     "--overwrite")
            with open(self.path("c.h5"), "rb") as f:
                return f.read()
        assert bytes_of("3") == bytes_of("3") != bytes_of("4")

    def test_memory(self):
        """150 MiB of store, less than 64 MiB of memory."""
        if "--sanitized" in sys.argv:
            return
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        self.run(0, "", "synth", self.path("d.h5"), "--preset", "1b", "--layers", "1",
                 "--dense", "i4")
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        assert os.path.getsize(self.path("d.h5")) > 150 << 20
        assert used < 64 << 10 or used == before, used
        os.remove(self.path("d.h5"))

    def test_refused(self):
        d = self.path("x.h5")
        self.run(2, "did you mean '7b'", "synth", d, "--preset", "7c")
        self.run(2, "--preset NAME, or --dim", "synth", d)
        self.run(2, "heads (3) is no multiple", "synth", d, "--preset", "tiny", "--heads", "3",
                 "--kv-heads", "2", "--head-dim", "2")
        self.run(2, "layers is 5000", "synth", d, "--preset", "tiny", "--layers", "5000")
        self.run(1, "unknown layout", "synth", d, "--preset", "tiny", "--layout", "plains")
        self.run(1, "needs", "synth", d, "--preset", "70b", "--hidden", "4000000",
                 "--layers", "4096")
        with open(self.path("text"), "w", encoding="utf-8") as f:
            f.write("mine")
        self.run(1, "text", "synth", self.path("text"), "--preset", "tiny", "--overwrite")
        assert not [f for f in os.listdir(self.tmp) if f.startswith("x.h5")]


with tempfile.TemporaryDirectory() as folder:
    test = Test(folder)
    for name in sorted(dir(test)):
        if name.startswith("test_"):
            getattr(test, name)()
            print("ok", name)
