#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Energy in records: a fake powercap tree and a wall meter's log that go on while
m2c-exp decodes, counters that vanish or go back, windows that are too short.

    test_energy.py BUILD SOURCE STUB_NVML
"""
import json
import os
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
new_tokens = 450
[carbon]
model = measured
g_per_kwh = 100
embodied_kg = 1000
life_years = 5
utilisation = 0.25
dram_j_per_gb = 1
"""


class Machine(threading.Thread):
    """A package of 20 W and a plug of 120 W, written every few ms; `spoil` is done to
    the package instead while it is set."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.zone, self.csv = f"{folder}/cap/intel-rapl:0", f"{folder}/wall.csv"
        self.ends, self.spoil, self.offset = threading.Event(), None, 5_000_000
        os.makedirs(self.zone)
        self.write("name", "package-0")
        self.write("max_energy_range_uj", "262143328850")
        self.write("energy_uj", str(self.offset))
        with open(self.csv, "w") as f:
            f.write("time,watts\n")

    def write(self, name, text):
        with open(f"{self.zone}/.new", "w") as f:  # whole, as sysfs gives it
            f.write(text + "\n")
        os.rename(f"{self.zone}/.new", f"{self.zone}/{name}")

    def run(self):
        begin = time.monotonic()
        with open(self.csv, "a", buffering=1) as log:
            while not self.ends.wait(PERIOD_S):
                log.write(f"{time.time():.6f},{WALL_W}\n")
                spoil = self.spoil
                if spoil:
                    spoil()
                    continue
                uj = self.offset + int((time.monotonic() - begin) * CPU_W * 1e6)
                self.write("energy_uj", str(uj))


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
    record = run(config, f"{tmp}/a", cap, f"meter.wall_csv={machine.csv}", "meter.idle_s=0.3")
    f, tokens = record["figures"], record["samples"]["token_s"]
    seconds = sum(tokens)
    n = len(tokens)
    assert f["energy.cpu"]["how"] == "measured" and "RAPL" in f["energy.cpu"]["source"]
    near("package, J", f["energy.cpu"]["value"] * n, CPU_W * seconds, 0.2)
    assert f["energy.wall"]["how"] == "measured", f["energy.wall"]
    near("wall, J", f["energy.wall"]["value"] * n, WALL_W * seconds, 0.2)
    near("idle package, W", f["idle_power.cpu"]["value"], CPU_W, 0.2)
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

    # what is too short, or not there
    f = run(config, f"{tmp}/b", "meter.sources=nvml", f"meter.nvml={stub}",
            "decode.new_tokens=4", "carbon.region=fr", "carbon.g_per_kwh=820")["figures"]
    unavailable(f["energy.gpu"], "too short")
    unavailable(f["energy.cpu"], "no meter")
    unavailable(f["energy_total"], "no meter")
    unavailable(f["carbon"], "what computes is not known")

    # a counter that goes back in the middle, one that vanishes. When the middle is
    # nobody knows on a machine that has other things to do: the sooner tries may
    # be too soon, the later ones too late.
    def vanish():
        if os.path.exists(f"{machine.zone}/energy_uj"):
            os.remove(f"{machine.zone}/energy_uj")

    for spoil, word in ((lambda: machine.write("energy_uj", "7"), "went back or jumped"),
                        (vanish, "No such file")):
        for delay in (0.15, 0.25, 0.4, 0.6, 1, 2, 4):
            machine.spoil = None
            time.sleep(0.05)
            timer = threading.Timer(delay, lambda what=spoil: setattr(machine, "spoil", what))
            timer.start()
            f = run(config, f"{tmp}/{word[:2]}{delay}", cap)["figures"]
            timer.cancel()
            if f["energy.cpu"]["value"] is None and word in f["energy.cpu"]["source"]:
                break
        unavailable(f["energy.cpu"], word)
        assert f["energy.ssd"]["value"] > 0  # the others go on
        print(f"{word}: after {delay} s")
    machine.ends.set()
    machine.join()

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
