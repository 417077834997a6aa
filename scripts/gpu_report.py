# SPDX-License-Identifier: MIT
"""What scripts/gpu-check.sh found: gpu_report.py devices|list FILE, or table FOLDER."""
import glob
import json
import os
import sys

HOST = ("cpu", "null")          # of backends, beside OpenCL's processors


def gpus(path):
    with open(path, encoding="utf-8") as f:
        listed = [d for d in json.load(f)["devices"] if d["backend"] not in HOST]
    return listed, [d for d in listed if "ops" in d and d["self_test"] == "passed"
                    and not d["processor"]]


def devices(path):
    listed, usable = gpus(path)
    for d in listed:
        print(f"{d['backend']} {d['index']}: {d['name']}: "
              f"{d.get('fault') or 'self-test ' + d['self_test']}")
    if not usable:
        sys.exit("There is no GPU here that m2c can use: see above for what is missing.")


def load(path):
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError):
        return None


def best(rows, what):
    return max((r["gb_per_s"] for r in rows if r["what"] == what), default=float("nan"))


def table(folder):
    for path in sorted(glob.glob(os.path.join(folder, "copy-*.txt"))):
        tag = os.path.basename(path)[len("copy-"):-len(".txt")]
        copy, bench = load(path), load(os.path.join(folder, f"bench-{tag}.txt"))
        if not copy:
            continue
        rows = copy["rows"]
        link, device = best(rows, "link"), best(rows, "device")
        # A copy within the device reads and writes each byte.
        print(f"\n{tag}: {copy['name']}: copies within it {2 * device:.1f} GB/s read and "
              f"written, pinned copies {link:.1f} GB/s to it")
        print(f"  hidden of the shorter of copy and work: {copy['overlap']:.2f}")
        print(f"  {'pieces':>10} {'n':>5}" + "".join(f"{h:>9}" for h in how_of(rows)) +
              "   of the link")
        for size, n in sorted({(r["piece_bytes"], r["pieces"]) for r in rows
                               if r["what"] == "pieces"}):
            speeds = {r["how"]: r["gb_per_s"] for r in rows if r["what"] == "pieces" and
                      (r["piece_bytes"], r["pieces"]) == (size, n)}
            print(f"  {size:>10} {n:>5}" + "".join(
                f"{speeds.get(h, float('nan')):>9.2f}" for h in how_of(rows)) +
                "".join(f"{speeds.get(h, float('nan')) / link:>6.2f}" for h in how_of(rows)))
        for r in (bench or {"results": []})["results"]:
            if r["backend"] not in HOST and r["bytes"] > 0:
                print(f"  {r['name']:<22} {r['gb_per_s']:>9.1f} GB/s "
                      f"{r['gb_per_s'] / (2 * device):>6.2f} of the device's copies")


def how_of(rows):
    seen = []
    for r in rows:
        if r["what"] == "pieces" and r["how"] not in seen:
            seen.append(r["how"])
    return seen


if __name__ == "__main__":
    if sys.argv[1] == "list":
        for device in gpus(sys.argv[2])[1]:
            print(device["backend"], device["index"])
    elif sys.argv[1] == "devices":
        devices(sys.argv[2])
    else:
        table(sys.argv[2])
