# SPDX-License-Identifier: MIT
"""m2c on OpenCL as a user meets it: the likelihood of a text is the processor's
to 1e-3, vendors are swapped by one key, and what cannot work says so in one
line. Standard library only."""
import json
import os
import subprocess
import sys
import tempfile

import with_intel

M2C = sys.argv[1]
SOURCE = os.environ["M2C_SOURCE"]
TOKENS = "80"
KEYS = ["selector.kind=oracle", "precision.active=auto", "precision.ratio=25:25:50",
        "hbm.bytes=30%", "dram.bytes=100%", "ssd.engine=pread", "ssd.direct=off"]


def run(env, *args, sets=()):
    flags = [word for key in sets for word in ("--set", key)]
    return subprocess.run([M2C, *args, *flags], env=env, text=True, capture_output=True,
                          check=False)


def nll(env, store, *sets):
    p = run(env, "ppl", store, "--text", f"{SOURCE}/data/sample.txt", "--split",
            "<|endoftext|>", "--tokens", TOKENS, "--json", sets=[*KEYS, *sets])
    if p.returncode:
        sys.exit(f"{sets}: exit {p.returncode}: {p.stderr}")
    return json.loads(p.stdout)["nll_per_token"]


def must_fail(env, store, code, say, *sets):
    p = run(env, "ppl", store, "--text", f"{SOURCE}/data/sample.txt", "--tokens", "5",
            sets=[*KEYS, *sets])
    last = (p.stderr.splitlines() or [""])[-1]
    assert p.returncode == code, f"{sets}: exit {p.returncode}, not {code}: {p.stderr}"
    assert say in last, f"{sets}: {last!r} does not say {say!r}"


def main():
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ)
        store = os.path.join(folder, "tiny.h5")
        p = run(env, "import", f"{SOURCE}/data/tiny", store)
        if p.returncode:
            print(f"skipped: no store of the shipped model: {p.stderr}")
            sys.exit(77)
        # No driver at all is a clear line, whatever is installed.
        os.mkdir(os.path.join(folder, "none"))
        nothing = {**env, "OCL_ICD_VENDORS": os.path.join(folder, "none")}
        must_fail(nothing, store, 1, "no driver is installed", "device.backend=opencl")
        listed = json.loads(run(nothing, "devices", "--json").stdout)["devices"]
        assert [d["fault"] for d in listed if d["backend"] == "opencl"], listed

        lib = with_intel.library()
        if lib:
            vendors = os.path.join(folder, "vendors")
            os.mkdir(vendors)
            env = with_intel.environment(vendors, lib)
        devices = [d for d in json.loads(run(env, "devices", "--json").stdout)["devices"]
                   if d["backend"] == "opencl"]
        if not devices or devices[0].get("fault"):
            print("skipped: no OpenCL driver")
            sys.exit(77)
        assert all(d["self_test"] == "passed" for d in devices), devices
        want = nll(env, store)
        print(f"cpu                nll {want:.9f}")
        for word in ["portable"] + (["intel"] if lib else []):
            got = nll(env, store, "device.backend=opencl", f"device.platform={word}")
            print(f"opencl, {word:10s} nll {got:.9f}  off by {abs(got - want):.1e}")
            assert abs(got - want) <= 1e-3
        must_fail(env, store, 1, f"there is no device {len(devices)}", "device.backend=opencl",
                  f"device.index={len(devices)}")
        must_fail(env, store, 1, "no platform is called like 'acme'", "device.backend=opencl",
                  "device.platform=acme")
        must_fail(env, store, 1, "hbm.bytes = 100%", "device.backend=opencl", "hbm.bytes=0")


if __name__ == "__main__":
    main()
