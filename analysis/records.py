# SPDX-License-Identifier: MIT
"""Reads a results folder: the journal's records, joined into points.

A point is one combination of the axes; its repetitions are one record each.
A figure that no repetition has is never a number here: it is None, with the
reason that the records give."""
import json
import math
import os

DENSE = "dense-resident"
# Shorter names for the axes that most sweeps have.
SHORT = {"precision.ratio": "ratio", "hbm.bytes": "HBM", "hbm.policy": "policy",
         "dram.bytes": "DRAM", "precision.active": "active", "selector.kind": "selector",
         "baseline.system": "system", "ssd.lookahead": "lookahead", "ssd.engine": "engine",
         "device.threads": "threads", "precision.hysteresis": "hysteresis",
         "precision.reuse": "reuse", "precision.assign": "classes by"}
# What dense-resident sets by itself: these tell two such points not apart.
SET_BY_DENSE = {"selector.kind", "precision.active", "precision.ratio", "hbm.bytes",
                "hbm.policy", "dram.bytes", "dram.fixed_layers", "decode.prefill_class",
                "baseline.system"}


class ReportError(Exception):
    """Something that the user has to know, in one line."""


class Figure:
    """One figure of a point over its repetitions."""

    def __init__(self, name, unit, values, hows, sources):
        self.name, self.unit, self.values = name, unit, values
        self.hows, self.sources = hows, sources
        self.mean = math.fsum(values) / len(values) if values else None
        self.half = (max(values) - min(values)) / 2 if values else None


class Point:
    """One combination of the axes, with all its repetitions."""

    def __init__(self, first):
        self.hash, self.index = first["point"], first["index"]
        self.axes, self.config = first["axes"], first["config"]
        self.dense = self.config.get("baseline.system") == DENSE
        self.ok, self.failed = [], []

    def add(self, record):
        (self.ok if record["status"] == "ok" else self.failed).append(record)

    def get(self, key):
        return self.axes.get(key, self.config.get(key))

    def figure(self, name):
        """A Figure, or None when no repetition speaks of it."""
        said = [r["figures"][name] for r in self.ok if name in r["figures"]]
        if not said:
            return None
        values = [f["value"] for f in said if f["value"] is not None]
        return Figure(name, said[0]["unit"], values, sorted({f["how"] for f in said}),
                      sorted({f["source"] for f in said}))

    def value(self, name):
        f = self.figure(name)
        return None if f is None else f.mean


class Results:
    """All of a folder."""

    def __init__(self, path, records, config_text, torn):
        self.path, self.records = path, records
        self.config_text, self.torn = config_text, torn
        points = {}
        for r in records:
            points.setdefault(r["point"], Point(r)).add(r)
        self.points = sorted(points.values(), key=lambda p: (p.index, p.hash))
        self.dense = [p for p in self.points if p.dense]
        self.tiered = [p for p in self.points if not p.dense]
        self.axes = self._axes()
        self.varying = [a for a in self.axes if self._varies(a, self.tiered)]
        self.varying_dense = [a for a in self.axes if a not in SET_BY_DENSE and
                              self._varies(a, self.points)]

    def _axes(self):
        seen = {}
        for r in self.records:
            seen.update(dict.fromkeys(r["axes"]))
        return list(seen)

    @staticmethod
    def _varies(axis, points):
        return len({p.get(axis) for p in points}) > 1

    def label(self, point, axes=None):
        """What tells this point from the others, in a few words."""
        if point.dense:
            words = [DENSE] + [axis_text(a, point.get(a)) for a in self.varying_dense]
        else:
            words = [axis_text(a, point.get(a))
                     for a in (self.varying if axes is None else axes)]
        return " · ".join(words) or "the point"

    def figure_names(self):
        seen = {}
        for r in self.records:
            seen.update(dict.fromkeys(r["figures"]))
        return list(seen)

    def has(self, name):
        return any(p.value(name) is not None for p in self.points)


def short(axis):
    return SHORT.get(axis, axis)


def axis_text(axis, value):
    """A value that says what it is: 25:25:50 and lru do, 20% does not."""
    value = "-" if value in (None, "") else str(value)
    if axis in ("precision.ratio", "hbm.policy", "baseline.system"):
        return value
    return f"{short(axis)} {value}"


def _constant(word):
    raise ValueError(f"{word} is not JSON")


def _check(record):
    """What is wrong with a record, or None."""
    if not isinstance(record, dict):
        return "not an object"
    if record.get("version") != 1:
        return f"record version {record.get('version')!r}, expected 1"
    kinds = {"point": str, "index": int, "rep": int, "status": str, "started": str,
             "identity": dict, "config": dict, "axes": dict, "figures": dict}
    for key, kind in kinds.items():
        if not isinstance(record.get(key), kind):
            return f"'{key}' is missing or no {kind.__name__}"
    if record["status"] not in ("ok", "failed"):
        return f"status '{record['status']}', expected ok or failed"
    for name, f in record["figures"].items():
        good = isinstance(f, dict) and all(
            isinstance(f.get(k), str) for k in ("unit", "how", "source"))
        if not good or not (f.get("value") is None or _number(f["value"])):
            return f"figure '{name}' is malformed"
    return None


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and \
        math.isfinite(value)


def _parse(path, number, line):
    try:
        record = json.loads(line.decode("utf-8"), parse_constant=_constant)
    except UnicodeDecodeError as e:
        raise ReportError(f"{path}:{number}: not UTF-8 at byte {e.start}") from None
    except (ValueError, RecursionError) as e:
        raise ReportError(f"{path}:{number}: not a record: {e}") from None
    wrong = _check(record)
    if wrong:
        raise ReportError(f"{path}:{number}: not a record: {wrong}")
    return record


def _read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as e:
        raise ReportError(f"{path}: {e.strerror}") from None


def load(folder):
    """A Results. Only a last line without its newline is forgiven: a crash
    tore it, and the sweep that goes on will drop it too."""
    if not os.path.isdir(folder):
        raise ReportError(f"{folder}: not a results folder")
    path = os.path.join(folder, "results.jsonl")
    lines = _read(path).split(b"\n")
    torn = len(lines.pop())
    records, seen = [], {}
    for number, line in enumerate(lines, 1):
        record = _parse(path, number, line)
        key = (record["point"], record["rep"])
        if key in seen:
            raise ReportError(f"{path}:{number}: the same point and repetition as line "
                              f"{seen[key]}")
        seen[key] = number
        records.append(record)
    if not records:
        raise ReportError(f"{path}: holds no record")
    ini = os.path.join(folder, "config.ini")
    text = _read(ini).decode("utf-8", "replace") if os.path.exists(ini) else None
    return Results(path, records, text, torn)
