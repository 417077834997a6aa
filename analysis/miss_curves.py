#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Miss ratio against capacity, a line a policy, from `m2c replay --json`; beside
it how many times the misses of `min`, the least that any policy can have.

  m2c replay T.trace.h5 --policy all --capacity 10%,20%,30%,50%,70%,90% --json > r.json
  miss_curves.py r.json -o curves.svg [--policy P[,P...]]
"""
import argparse
import json
import os
import sys

try:
    import matplotlib
    from matplotlib.figure import Figure
except ImportError as e:
    sys.exit(f"miss_curves.py: {e}: matplotlib is needed (Debian: python3-matplotlib)")

from drawing import COLOURS, DASHES, GREY, MARKERS, STYLE

BOUNDS = ("min", "belady")
PAPERS = "atu"  # M2Cache's own


class Fault(Exception):
    """What is wrong with the input, in one line."""


def load(path):
    try:
        with sys.stdin if path == "-" else open(path, encoding="utf-8") as f:
            data = json.load(f)
        curves = {}
        for row in data["rows"]:
            curves.setdefault(row["policy"], {})[row["capacity"]] = row["misses"]
        if not curves:
            raise Fault(f"{path}: no rows")
        return data, {p: sorted(c.items()) for p, c in curves.items()}
    except OSError as e:
        raise Fault(f"{path}: {e.strerror}") from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise Fault(f"{path}: not the JSON of m2c replay ({e})") from e


def choose(curves, wanted):
    if not wanted:
        return curves
    names = wanted.split(",")
    for n in names:
        if n not in curves:
            raise Fault(f"--policy {n}: the replay has {', '.join(curves)}")
    return {p: c for p, c in curves.items() if p in names or p == "min"}


def style(place, policy):
    if policy in BOUNDS:
        return {"color": "black" if policy == "min" else GREY, "linewidth": 1.8,
                "linestyle": "-" if policy == "min" else "--"}
    i = place[policy]
    width = 2.4 if policy == PAPERS else 1.1
    return {"color": COLOURS[i % 7], "marker": MARKERS[(i + i // 7) % 7],
            "linestyle": DASHES[i // 7 % 4], "linewidth": width, "markersize": 4}


def share(data, capacity):
    """In % of all neurons, where the capacity is a number of neurons."""
    whole = data["layers"] * data["neurons"]
    return 100 * capacity / whole if data["capacity_unit"] == "neurons" else capacity / 2**20


def paint(data, curves, axes):
    """Policies in the order of their misses at the middle capacity."""
    def middle(p):
        return curves[p][len(curves[p]) // 2][1] if p != "min" else -1
    order = sorted(curves, key=middle)
    place = {p: i for i, p in enumerate(p for p in curves if p not in BOUNDS)}
    least = dict(curves.get("min", []))
    for p in order:
        x = [share(data, c) for c, _ in curves[p]]
        axes[0].plot(x, [100 * m / data["accesses"] for _, m in curves[p]],
                     label=p + (" (the paper's)" if p == PAPERS else ""), **style(place, p))
        gap = [(share(data, c), m / least[c]) for c, m in curves[p] if least.get(c)]
        if gap and p != "min":
            axes[1].plot(*zip(*gap), **style(place, p))
    unit = "% of all neurons" if data["capacity_unit"] == "neurons" else "MiB"
    for a in axes:
        a.set_xlabel(f"capacity, {unit}")
    axes[0].set_ylabel("misses, % of accesses")
    axes[0].set_ylim(bottom=0)
    axes[0].set_title("Miss ratio")
    axes[1].set_title("Misses over the least possible (min)" if least else
                      "The replay has no `min`")
    axes[1].set_ylabel("times")


def draw(data, curves, out):
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "m2c"}):
        fig = Figure(figsize=(9.6, 4.2), layout="constrained")
        axes = fig.subplots(1, 2)
        paint(data, curves, axes)
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right center",
                   frameon=False)
        pools = "a pool a layer" if data["unit"] == "layer" else "one pool"
        sets = "a token's wants as a set" if data["semantics"] == "token" else \
            "one access at a time"
        fig.suptitle(f"{os.path.basename(data['trace'])}: {data['tokens']} tokens, "
                     f"{data['accesses']} accesses; {pools}, {sets}", fontsize=9)
        fig.savefig(out, dpi=140)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    p.add_argument("json", help="output of m2c replay --json; - for standard input")
    p.add_argument("-o", "--output", required=True, help="SVG, PNG or PDF, by its name")
    p.add_argument("--policy", help="only these, and min")
    args = p.parse_args()
    try:
        data, curves = load(args.json)
        draw(data, choose(curves, args.policy), args.output)
    except (Fault, OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
