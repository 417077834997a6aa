# SPDX-License-Identifier: MIT
"""m2c on the fake CUDA driver as a user meets it: the quickstart sweep gives the
processor's likelihoods to 1e-3, devices are listed and tested, and a call of the
driver that fails takes its own point along and no other. Standard library only.

test_runs.py M2C M2C-EXP FAKE [--every N]: with N, every Nth call of the sweep's
first point fails once (with 1, the whole fault run: hours), else two do."""
import json
import os
import re
import subprocess
import sys
import tempfile

M2C, EXP, FAKE = sys.argv[1:4]
SOURCE = os.environ["M2C_SOURCE"]
CARD = ("device.backend=cuda", "device.copy=gather")


def run(*args, fake="", code=0):
    env = {**os.environ, "M2C_FAKE_CUDA": fake}
    p = subprocess.run(args, env=env, text=True, capture_output=True, check=False)
    if code is not None and p.returncode != code:
        sys.exit(f"{args}: exit {p.returncode}, not {code}: {p.stderr}\n{p.stdout}")
    return p


def sweep(folder, name, store, *sets, fake="", code=0):
    out = os.path.join(folder, name)
    keys = [f"model.path={store}", f"device.library={FAKE}",
            f"device.cache={folder}/cache", "device.gemm=own",
            "decode.prompt_tokens=2", "decode.new_tokens=2", "decode.prefill=sparse",
            "text.tokens=6", "text.kl=off", "experiment.warmup=0",
            f"decode.prompt_file={SOURCE}/data/sample.txt",
            f"text.file={SOURCE}/data/sample.txt", "ssd.engine=pread", "ssd.direct=off",
            "sweep.baseline.system=m2cache", "sweep.precision.ratio=25:25:50",
            "sweep.hbm.bytes=20%", *sets]
    flags = [word for key in keys for word in ("--set", key)]
    p = run(EXP, f"{SOURCE}/configs/quickstart.ini", "-o", out, *flags, fake=fake, code=code)
    try:
        with open(os.path.join(out, "results.jsonl"), encoding="utf-8") as f:
            return p, [json.loads(line) for line in f]
    except FileNotFoundError:
        return p, []


def nll(record):
    return record["figures"]["nll"]["value"]


def calls(p):
    return int(re.search(r"^fake calls: (\d+)$", p.stderr, re.M).group(1))


def fail_call(folder, store, n, want):
    """Whether both points are there after call n failed; else the first is not."""
    p, records = sweep(folder, f"fail{n}", store, *CARD,
                       "sweep.hbm.policy=atu|lru", fake=f"fail={n},tell=1", code=None)
    status = [r["status"] for r in records]
    assert p.returncode in (0, 3) and "fake CUDA:" not in p.stderr, (n, p.returncode, p.stderr)
    assert all(nll(r) == want for r in records if r["status"] == "ok"), n
    if p.returncode == 0:
        assert status == ["ok", "ok"], (n, status)
        return True
    error = records[0]["error"]
    assert status[0] != "ok" and status[1] == "ok", (n, status)
    assert "CUDA_ERROR" in error or "NVRTC" in error, (n, error)
    print(f"call {n}: {error}")
    return False


def main():
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "tiny.h5")
        p = run(M2C, "import", f"{SOURCE}/data/tiny", store, code=None)
        if p.returncode:
            print(f"skipped: no store of the shipped model: {p.stderr}")
            sys.exit(77)

        listed = json.loads(run(M2C, "devices", "--json", "--library", FAKE,
                                fake="devices=2").stdout)["devices"]
        cards = [d for d in listed if d["backend"] == "cuda"]
        assert [d["name"] for d in cards] == ["Fake card 0", "Fake card 1"], cards
        assert all(d["self_test"] == "passed" for d in cards), cards

        cpu = sweep(folder, "cpu", store, "device.backend=cpu", "sweep.hbm.policy=atu")[1]
        p, cuda = sweep(folder, "cuda", store, *CARD, "sweep.hbm.policy=atu",
                        fake="tell=1")
        one = calls(p)
        assert len(cpu) == len(cuda) == 1, (cpu, cuda)
        print(f"nll cpu {nll(cpu[0]):.9f}, cuda {nll(cuda[0]):.9f}")
        assert abs(nll(cpu[0]) - nll(cuda[0])) < 1e-3
        # The engine asks every device for the same ops.
        counts = [r[0]["figures"]["launches"]["value"] for r in (cpu, cuda)]
        assert counts[0] == counts[1] > 0, counts
        assert all(cuda[0]["figures"][name]["value"] > 0
                   for name in ("copy_batches", "time_enqueue"))

        # Every device of an axis is tested before the first point, the base value's
        # is not; one that is not there fails its own points.
        axis = ("sweep.device.backend=cpu|cuda", "sweep.hbm.policy=atu")
        p, records = sweep(folder, "wrong", store, *axis, "device.copy=gather", fake="wrong=1",
                           code=4)
        assert "device.backend = cuda" in p.stderr and not records, (p.stderr, records)
        p, records = sweep(folder, "absent", store, *CARD, "sweep.device.index=0|7",
                           "sweep.hbm.policy=atu", code=3)
        assert [r["status"] == "ok" for r in records] == [True, False], records
        assert "its points will fail" in p.stderr, p.stderr

        # The two points of a sweep make as many calls each; the self-test is before.
        p, _ = sweep(folder, "two", store, *CARD,
                     "sweep.hbm.policy=atu|lru", fake="tell=1")
        point = calls(p) - one
        first = one - point
        every = int(sys.argv[5]) if len(sys.argv) > 5 else point // 2
        failed = passed = 0
        for n in range(first + 1 + (0 if len(sys.argv) > 5 else every // 2),
                       first + 1 + point, every):
            ok = fail_call(folder, store, n, nll(cuda[0]))
            failed += not ok
            passed += ok
        print(f"{failed + passed} of {point} calls of a point failed in turn: "
              f"{failed} took their point along, {passed} did no harm")
        assert failed


if __name__ == "__main__":
    main()
