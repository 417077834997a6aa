#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same power curve under Zeus, CodeCarbon and m2c's NVML meter, at the same time.

    others.py DUMP STUB

Each of them opens the stub as its NVML and is compared with what the curve really
held in its own window. Needs zeus and codecarbon (pip install zeus codecarbon),
which scripts/test.sh does not install; skips without.
"""
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

SECONDS = 7
# 200 ms of 250 W in every 500 ms, from a moment that all processes share
CURVE = "cc=70,t=20,wave=500,low=60,high=250,start={start}"


def child(which):
    """In a process that finds the stub as libnvidia-ml.so.1."""
    lib = ctypes.CDLL("libnvidia-ml.so.1")
    lib.stub_nvml_now_s.restype = lib.stub_nvml_joules.restype = ctypes.c_double
    lib.stub_nvml_joules.argtypes = [ctypes.c_double] * 2
    if which == "zeus":
        from zeus.monitor import ZeusMonitor
        monitor = ZeusMonitor(gpu_indices=[0], cpu_indices=[])
        begin = lambda: monitor.begin_window("w", sync_execution=False)
        end = lambda: sum(monitor.end_window("w", sync_execution=False).gpu_energy.values())
    else:
        from codecarbon import OfflineEmissionsTracker
        tracker = OfflineEmissionsTracker(country_iso_code="FRA", measure_power_secs=1,
                                          save_to_file=False, log_level="error",
                                          gpu_ids=[0])
        begin, end = tracker.start, lambda: (
            tracker.stop(), tracker.final_emissions_data.gpu_energy * 3.6e6)[1]
    begin()
    start = lib.stub_nvml_now_s()
    time.sleep(SECONDS)
    joules = end()
    stop = lib.stub_nvml_now_s()
    print(json.dumps({"joules": joules, "truth": lib.stub_nvml_joules(start, stop)}))


def main(dump, stub):
    try:
        import codecarbon  # noqa: F401
        import zeus.monitor  # noqa: F401
    except ImportError as e:
        print(f"skipped: {e}")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(stub, f"{folder}/libnvidia-ml.so.1")
        with open(f"{folder}/nvidia-smi", "w") as f:  # CodeCarbon asks whether it runs
            f.write("#!/bin/sh\nexit 0\n")
        os.chmod(f.name, 0o755)
        env = dict(os.environ, LD_LIBRARY_PATH=folder, PATH=f"{folder}:{os.environ['PATH']}",
                   STUB_NVML=CURVE.format(start=int(time.monotonic() * 1000)))
        runs = {w: [sys.executable, __file__, "child", w] for w in ("zeus", "codecarbon")}
        for way in ("counter", "sampled"):
            runs[f"m2c {way}"] = [dump, f"{folder}/libnvidia-ml.so.1", str(SECONDS), way]
        started = {k: subprocess.Popen(v, env=env, text=True, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, cwd=folder)
                   for k, v in runs.items()}
        bad = False
        for name, p in started.items():
            out, err = p.communicate(timeout=120)
            if p.returncode:
                print(f"{name}: exit {p.returncode}: {err[-600:]}")
                bad = bad or name.startswith("m2c")
                continue
            said = json.loads(out.strip().split("\n")[-1])
            if said["joules"] is None:  # a machine that lets nobody run for long
                print(f"{name}: {said['why']}")
                bad = bad or "not read for too long" not in said["why"]
                continue
            off = said["joules"] / said["truth"] - 1
            band = f", band +-{said['err'] / said['truth']:.1%}" if "err" in said else ""
            print(f"{name}: {said['joules']:.1f} J of {said['truth']:.1f}: {off:+.2%}{band}")
            if name.startswith("m2c"):
                bad = bad or abs(off) > 0.03 or abs(said["joules"] - said["truth"]) > said["err"]
            else:
                bad = bad or abs(off) > 0.2
    return int(bad)


if __name__ == "__main__":
    wanted = os.environ.get("M2C_PYTHON")
    if wanted and os.environ.get("M2C_PYTHON_USED") != wanted and os.path.exists(wanted):
        os.environ["M2C_PYTHON_USED"] = wanted
        os.execv(wanted, [wanted, *sys.argv])
    if sys.argv[1] == "child":
        child(sys.argv[2])
    else:
        sys.exit(main(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])))
