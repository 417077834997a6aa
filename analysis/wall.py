#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Merges the log of a wall meter, kept by another machine, into a results folder.

    python3 analysis/wall.py DIR LOG.csv [--offset SECONDS]

Prints one line of JSON a record: the joules of its decode window at the plug, and
those of a token; null with the reason where the log does not cover the window. The
journal stays as it is. The log is as src/meter/wall_csv.h says (a line of names
with time and watts, or joules, wh, kwh that add up). `--offset` is added to its
times, where its clock differs from that of the machine that ran."""
import argparse
import csv
import datetime
import json
import sys

TIMES = {"time": 1, "timestamp": 1, "unix_s": 1, "unix_ms": 1e-3}
WATTS = ("watts", "power", "power_w", "w")
JOULES = {"joules": 1, "j": 1, "wh": 3600, "kwh": 3.6e6}
ROWS_LEAST, APART_S = 10, 60


def seconds(text):
    try:
        return float(text)
    except ValueError:
        t = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        if t.tzinfo is None:
            raise ValueError("a time without its zone") from None
        return t.timestamp()


def read(path):
    """Rows of (time, joules so far)."""
    with open(path, encoding="utf-8", newline="") as f:
        text = f.read()
    lines = [x for x in text[:text.rfind("\n") + 1].splitlines()
             if x.strip() and not x.startswith("#")]
    if not lines:
        sys.exit(f"{path}: it has no line of names")
    separator = next((s for s in ";\t" if s in lines[0]), ",")
    names = [n.strip().strip('"').lower() for n in lines[0].split(separator)]
    at = next((n for n in TIMES if n in names), None)
    value = next((n for n in (*WATTS, *JOULES) if n in names), None)
    if at is None or value is None:
        sys.exit(f"{path}: expected columns of time and of watts, joules, wh or kwh")
    rows, last = [], None
    for i, fields in enumerate(csv.reader(lines[1:], delimiter=separator), 2):
        try:
            t = seconds(fields[names.index(at)].strip()) * TIMES[at]
            v = float(fields[names.index(value)])
        except (ValueError, IndexError) as e:
            sys.exit(f"{path}: row {i}: {e}")
        if not v >= 0 or last and t < last[0]:
            sys.exit(f"{path}: row {i}: below 0, or before the row before")
        if value in WATTS:
            so_far = rows[-1][1] + (t - last[0]) * (v + last[1]) / 2 if rows else 0.0
        else:
            so_far = v * JOULES[value]
        rows.append((t, so_far))
        last = (t, v)
    return rows


def energy(rows, begin, end):
    """Joules, or the reason why not."""
    inside = [t for t, _ in rows if begin <= t <= end]
    if not rows or rows[0][0] > begin or rows[-1][0] < end:
        return None, "its rows do not cover the window"
    if len(inside) < ROWS_LEAST:
        return None, f"{len(inside)} rows in the window, fewer than {ROWS_LEAST}"
    if max(b - a for a, b in zip([begin, *inside], [*inside, end])) > APART_S:
        return None, f"rows more than {APART_S} s apart"

    def until(t):
        (t0, j0), (t1, j1) = next((a, b) for a, b in zip(rows, rows[1:]) if b[0] >= t)
        return j0 + (j1 - j0) * (t - t0) / (t1 - t0) if t1 > t0 else j1

    return until(end) - until(begin), None


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("folder")
    p.add_argument("log")
    p.add_argument("--offset", type=float, default=0)
    args = p.parse_args()
    rows = [(t + args.offset, j) for t, j in read(args.log)]
    with open(f"{args.folder}/results.jsonl", encoding="utf-8") as f:
        records = [json.loads(line) for line in f if line.endswith("\n")]
    for r in records:
        samples = r.get("samples", {})
        if r["status"] != "ok" or "window_unix_s" not in samples:
            continue
        joules, why = energy(rows, *samples["window_unix_s"])
        n = len(samples.get("token_s", []))
        print(json.dumps({"index": r["index"], "rep": r["rep"], "axes": r["axes"], "J": joules,
                          "J/tok": joules / n if joules is not None and n else None,
                          "why": why}))


if __name__ == "__main__":
    main()
