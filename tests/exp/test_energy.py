#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Energy in records: a fake powercap tree and a wall meter's log that go on while
m2c-exp decodes, counters that vanish or go back, windows that are too short.

    test_energy.py BUILD SOURCE STUB_NVML
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

build, source, stub = (os.path.abspath(a) for a in sys.argv[1:4])
m2c, m2c_exp = f"{build}/src/tools/m2c", f"{build}/src/tools/m2c-exp"
CPU_W, WALL_W, PERIOD_S = 20.0, 120.0, 0.005
CONFIG = """
[experiment]
kinds = decode
[model]
path = {store}
[device]
threads = 1
[decode]
new_tokens = 200
[carbon]
model = measured
g_per_kwh = 100
embodied_kg = 1000
life_years = 5
utilisation = 0.25
dram_j_per_gb = 1
"""


class Machine(threading.Thread):
    """A package of 20 W and a plug of 120 W, written every few ms."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.zone, self.csv = f"{folder}/cap/intel-rapl:0", f"{folder}/wall.csv"
        self.ends, self.offset = threading.Event(), 5_000_000
        os.makedirs(self.zone)
        for name, text in (("name", "package-0"), ("max_energy_range_uj", "262143328850"),
                           ("energy_uj", self.offset)):
            self.write(name, text)
        with open(self.csv, "w") as f:
            f.write("time,watts\n")

    def write(self, name, text):
        with open(f"{self.zone}/.new", "w") as f:  # whole, as sysfs gives it
            f.write(f"{text}\n")
        os.rename(f.name, f"{self.zone}/{name}")

    def run(self):
        begin = time.monotonic()
        with open(self.csv, "a", buffering=1) as log:
            while not self.ends.wait(PERIOD_S):
                log.write(f"{time.time():.6f},{WALL_W}\n")
                self.write("energy_uj",
                           self.offset + int((time.monotonic() - begin) * CPU_W * 1e6))


class Told(threading.Thread):
    """A counter that gives each of `answers` to one reading, by a FIFO that is
    another for each; after them it is gone."""

    def __init__(self, path, answers):
        super().__init__(daemon=True)
        self.path, self.answers = path, answers
        if os.path.exists(path):
            os.remove(path)
        os.mkfifo(path)

    def run(self):
        for left, text in reversed(list(enumerate(reversed(self.answers)))):
            with open(self.path, "w") as f:  # there is a reader now
                if left:
                    os.mkfifo(f"{self.path}.next")
                    os.rename(f"{self.path}.next", self.path)
                else:
                    os.remove(self.path)
                f.write(f"{text}\n")


def run(config, out, *sets, ok=(0,)):
    args = [m2c_exp, config, "-o", out]
    for s in sets:
        args += ["--set", s]
    p = subprocess.run(args, capture_output=True, text=True, timeout=120)
    assert p.returncode in ok, f"{args}: exit {p.returncode}\n{p.stdout}\n{p.stderr}"
    if p.returncode:
        return p.stderr
    with open(f"{out}/results.jsonl") as f:
        record = json.loads(f.read())
    assert record["status"] == "ok", record
    return record


def near(name, got, want, relative):
    if not abs(got - want) <= relative * want:
        sys.exit(f"{name}: {got}, not {want} within {relative:.0%}")
    print(f"{name}: {got:.4g}, expected {want:.4g}")


def unavailable(figure, *words):
    assert figure["value"] is None and figure["how"] == "unavailable", figure
    assert any(w in figure["source"] for w in words), (words, figure)


def main(tmp):
    store, config = f"{tmp}/tiny.h5", f"{tmp}/c.ini"
    p = subprocess.run([m2c, "import", f"{source}/data/tiny", store], capture_output=True,
                       text=True)
    if "PCRE2" in p.stderr:
        print("skipped: the shipped model needs PCRE2, which this build lacks")
        sys.exit(77)
    assert p.returncode == 0, p.stderr
    with open(config, "w") as f:
        f.write(CONFIG.format(store=store))
    machine = Machine(tmp)
    machine.start()
    cap = f"meter.powercap={tmp}/cap"

    # both meters, and the idle power as a figure of its own
    for tokens in (300, 450):  # a busy machine may let the logger wait
        shutil.rmtree(f"{tmp}/a", ignore_errors=True)
        record = run(config, f"{tmp}/a", cap, f"meter.wall_csv={machine.csv}",
                     "meter.idle_s=0.3", f"decode.new_tokens={tokens}")
        if record["figures"]["energy.wall"]["value"] is not None:
            break
    f, tokens = record["figures"], record["samples"]["token_s"]
    seconds = sum(tokens)
    n = len(tokens)
    assert f["energy.cpu"]["how"] == "measured" and "RAPL" in f["energy.cpu"]["source"]
    near("package, J", f["energy.cpu"]["value"] * n, CPU_W * seconds, 0.2)
    assert f["energy.wall"]["how"] == "measured", f["energy.wall"]
    near("wall, J", f["energy.wall"]["value"] * n, WALL_W * seconds, 0.2)
    near("idle package, W", f["idle_power.cpu"]["value"], CPU_W, 0.5)
    assert abs(f["energy_active.cpu"]["value"]) < 0.3 * f["energy.cpu"]["value"]
    assert 0 < f["energy_err.cpu"]["value"] < 0.05 * f["energy.cpu"]["value"]
    assert f["energy.ssd"]["how"] == f["energy.dram"]["how"] == "estimated"
    assert f["energy_err.ssd"]["value"] is None
    parts = sum(f[f"energy.{c}"]["value"] for c in ("cpu", "dram", "ssd"))
    near("total is parts without the wall", f["energy_total"]["value"], parts, 1e-12)
    embodied = 1000 * 1000 * seconds / (5 * 365.25 * 86400 * 0.25) / n
    near("embodied, g/tok", f["carbon_embodied"]["value"], embodied, 0.2)
    near("carbon, g/tok", f["carbon"]["value"],
         f["carbon_embodied"]["value"] + parts / 3.6e6 * 100, 1e-9)

    # the same log, merged when everything is over
    merge = [sys.executable, f"{source}/analysis/wall.py", f"{tmp}/a", machine.csv]
    p = subprocess.run(merge, capture_output=True, text=True, check=True)
    said = json.loads(p.stdout)
    near("wall by analysis/wall.py, J/tok", said["J/tok"], f["energy.wall"]["value"], 0.01)
    with open(f"{tmp}/early.csv", "w") as g:
        g.write("time,watts\n1,5\n2,5\n")
    merge[-1] = f"{tmp}/early.csv"
    p = subprocess.run(merge, capture_output=True, text=True, check=True)
    assert json.loads(p.stdout)["J/tok"] is None and "rows" in p.stdout, p.stdout

    # what is too short, or not there
    f = run(config, f"{tmp}/b", "meter.sources=nvml", f"meter.nvml={stub}",
            "decode.new_tokens=4", "carbon.region=fr", "carbon.g_per_kwh=820")["figures"]
    unavailable(f["energy.gpu"], "too short")
    unavailable(f["energy.cpu"], "no meter")
    unavailable(f["energy_total"], "no meter")
    unavailable(f["carbon"], "what computes is not known")

    # a counter that goes back in the middle, and one that vanishes there: the first
    # reading is at opening, the second when the window begins, the third when it ends
    machine.ends.set()
    machine.join()
    for name, answers, word in (("c", (5_000_000, 5_000_100, 7), "went back or jumped"),
                                ("d", (5_000_000, 5_000_100), "No such file")):
        told = Told(f"{machine.zone}/energy_uj", answers)
        told.start()
        f = run(config, f"{tmp}/{name}", cap)["figures"]
        told.join()
        unavailable(f["energy.cpu"], word)
        assert f["energy.ssd"]["value"] > 0  # the others go on

    # refused before anything runs
    for key, word in (("carbon.region=atlantis", "no such region"),
                      ("meter.sources=rappl", "rapl"), ("carbon.utilisation=0", "0")):
        assert word in run(config, f"{tmp}/e", key, ok=(2,)), key
    said = run(config, f"{tmp}/f", "carbon.region=fr", ok=(2,))
    assert "give one of them" in said, said
    said = run(config, f"{tmp}/g", "meter.sources=rapl", f"meter.powercap={tmp}/none", ok=(3,))
    print("done")


with tempfile.TemporaryDirectory(prefix="m2c-energy-") as folder:
    main(folder)
