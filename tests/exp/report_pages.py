# SPDX-License-Identifier: MIT
"""analysis/report.py on journals made here: good, odd, torn and corrupt.

Runs it with M2C_PYTHON or the system's Python, whichever has matplotlib; a
page is read back with html.parser, and numbers are looked for as they were
put in."""
import copy
import json
import os
import subprocess
import sys
import tempfile
from html.parser import HTMLParser

REPORT = os.path.join(os.environ["M2C_SOURCE"], "analysis", "report.py")
VOID = {"meta", "br", "circle", "rect", "path", "use", "line"}
faults = []


def python_with_matplotlib():
    for python in (os.environ.get("M2C_PYTHON"), "/usr/bin/python3", sys.executable):
        if python and subprocess.run([python, "-c", "import matplotlib"],
                                     capture_output=True, check=False).returncode == 0:
            return python
    print("no Python with matplotlib: skipped")
    sys.exit(77)


PYTHON = python_with_matplotlib()


class Page(HTMLParser):
    """Text, cells of the table of points, ids; tags must nest."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.ids, self.text, self.loads = [], [], [], []
        self.rows = []
        self.feed(text)
        self.close()
        expect(not self.stack, f"tags left open: {self.stack}")
        self.text = " ".join(self.text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        for key in ("src", "href", "xlink:href", "srcset", "data", "action"):
            if key in attrs and not attrs[key].startswith("#"):
                self.loads.append(attrs[key])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        if tag not in VOID:
            self.handle_starttag(tag, attrs)
            self.stack.pop()
        elif "id" in dict(attrs):
            self.ids.append(dict(attrs)["id"])

    def handle_endtag(self, tag):
        expect(self.stack and self.stack[-1] == tag, f"</{tag}> closes {self.stack[-2:]}")
        if self.stack:
            self.stack.pop()

    def handle_data(self, data):
        self.text.append(data)
        if self.stack and ("td" in self.stack or "th" in self.stack) and self.rows:
            self.rows[-1][-1] += data


def expect(condition, message):
    if not condition:
        faults.append(message)


def figure(value, unit="", how="measured", source="a counter"):
    return {"value": value, "unit": unit, "how": how, "source": source}


def record(index, axes, rep=0, **figures):
    """A record as m2c-exp writes it, with a whole set of figures."""
    config = {"experiment.name": "a <sweep> & more", "device.backend": "cpu",
              "baseline.system": "m2cache", "hbm.bytes": "20%", "hbm.policy": "atu",
              "precision.ratio": "25:25:50", **axes}
    full = {"perplexity": figure(2.5 + index / 100), "nll": figure(0.9163 + index / 250),
            "nll_dense": figure(0.9163), "kl_mean": figure(index / 1000, "nat/tok"),
            "decode_tok_s": figure(100.0 + index, "tok/s"),
            "ffn_bytes_read": figure(1e6 + index, "B/tok"),
            "hit_ratio_hbm": figure(0.5 + index / 100),
            "hbm_bytes_moved": figure(4e5, "B/tok"),
            "energy_total": figure(0.02, "J/tok", "estimated", "model: 10 W"),
            **{n: figure(0.002, "s") for n in ("token_p50", "token_p95", "token_p99")},
            **{"time_" + n: figure(0.001, "s/tok")
               for n in ("attention", "select", "phase_a", "phase_b", "copy_wait")}}
    full.update(figures)
    return {"version": 1, "point": f"{index:032x}", "index": index, "rep": rep,
            "status": "ok", "error": None, "started": "2024-05-01T12:00:00Z",
            "identity": {"version": "0.1.0", "commit": "0123456789ab", "cpu": "a CPU",
                         "cpus": 2, "memory_bytes": 2**33},
            "model": {"name": "toy", "hash": "ab" * 16}, "config": config, "axes": axes,
            "figures": {k: v for k, v in full.items() if v}, "samples": {},
            "labels": ["informed"]}


def sweep(reps=1):
    out, dense = [], {"baseline.system": "dense-resident", "precision.ratio": "1:0:0",
                      "hbm.bytes": "100%", "hbm.policy": "lru"}
    for rep in range(reps):
        out.append(record(0, dense, rep))
        for i, (ratio, size, policy) in enumerate(
                [(r, s, p) for r in ("100:0:0", "0:0:100") for s in ("5%", "20%")
                 for p in ("atu", "lru")], 1):
            out.append(record(i, {"baseline.system": "m2cache", "precision.ratio": ratio,
                                  "hbm.bytes": size, "hbm.policy": policy}, rep))
    return out


def failed(r, why):
    return {**copy.deepcopy(r), "status": "failed", "error": why, "figures": {}}


def put(tmp, name, records, tail=b"", ini="[experiment]\nname = see http://example.org\n"):
    folder = os.path.join(tmp, name)
    os.mkdir(folder)
    with open(os.path.join(folder, "results.jsonl"), "wb") as f:
        f.write(b"".join(json.dumps(r).encode() + b"\n" for r in records) + tail)
    if ini:
        with open(os.path.join(folder, "config.ini"), "w", encoding="utf-8") as f:
            f.write(ini)
    return folder


def run(folder, *more):
    return subprocess.run([PYTHON, "-B", REPORT, folder, *more], capture_output=True,
                          text=True, check=False, timeout=200)


def good(folder, records):
    """The page of a folder that can be drawn."""
    name = os.path.basename(folder)
    done = run(folder)
    expect(done.returncode == 0 and not done.stderr,
           f"{name}: exit {done.returncode}: {done.stderr}")
    if done.returncode:
        return Page("")
    with open(os.path.join(folder, "report.html"), encoding="utf-8") as f:
        html = f.read()
    page = Page(html)
    expect(not page.loads, f"{name}: loads {page.loads}")
    for word in ("<link", "@import", "<img", "<iframe", "xmlns", "url(http"):
        expect(word not in html, f"{name}: has {word}")
    expect("://" not in html.replace("see http://example.org", ""), f"{name}: has a URL")
    expect(len(page.ids) == len(set(page.ids)), f"{name}: an id stands twice")
    for r in records:
        mine = [row for row in page.rows if row and row[0] == str(r["index"])]
        expect(any(all(str(v or "-") in row for v in r["axes"].values()) for row in mine),
               f"{name}: no row for point {r['index']}")
    return page


def bad(folder, *words):
    done = run(folder)
    expect(done.returncode == 1 and done.stderr.count("\n") == 1 and not done.stdout,
           f"{folder}: exit {done.returncode}, said {done.stderr!r}")
    for word in words:
        expect(word in done.stderr, f"{folder}: {done.stderr!r} lacks {word!r}")
    expect(not os.path.exists(os.path.join(folder, "report.html")), f"{folder}: left a page")


def row_of(page, index):
    return next(row for row in page.rows if row and row[0] == str(index))


def good_pages(tmp):
    records = sweep(2)
    records[10] = record(1, records[10]["axes"], 1, decode_tok_s=figure(141.0, "tok/s"))
    folder = put(tmp, "whole", records)
    page = good(folder, records)
    # 101 and 141: the mean and half the range
    expect(any("121.0 ± 20" in c for c in row_of(page, 1)), "whole: mean ± half range")
    expect("8.0 GiB" in page.text and "0123456789ab" in page.text, "whole: provenance")
    expect("upper bound" in page.text, "whole: the label is not explained")
    expect("+0.40 % from dense" in page.text, "whole: perplexity of exp(1/250) over dense")
    expect(page.text.count("measured;") >= 5, "whole: captions say how")
    first = open(os.path.join(folder, "report.html"), "rb").read()
    run(folder, "-o", os.path.join(tmp, "again.html"))
    expect(first == open(os.path.join(tmp, "again.html"), "rb").read(), "whole: not the same twice")

    one = [record(0, {})]
    good(put(tmp, "one", one, ini=None), one)
    odd = [record(i, {"some.key": w, "hbm.bytes": b}) for i, (w, b) in
           enumerate([("x", "64K"), ('<$y$">', "20%"), ("", "0"), ("z" * 60, "1M")])]
    page = good(put(tmp, "odd", odd), odd)
    mixed = sweep()
    mixed[3] = failed(mixed[3], "decode: budget <too> small")
    page = good(put(tmp, "failed", mixed), mixed)
    expect("decode: budget <too> small" in page.text, "failed: the error is not told")
    none = [failed(r, "no such file") for r in sweep()]
    page = good(put(tmp, "none", none), none)
    expect(page.text.count("no such file") == len(none), "none: an error is missing")
    expect("9 failed" in page.text, "none: the summary does not say")
    torn = sweep()
    page = good(put(tmp, "torn", torn, tail=b'{"version":1,"poi'), torn)
    expect("17 bytes" in page.text, "torn: is not told")


def missing_figures(tmp):
    cut = sweep()
    for r in cut:
        r["figures"]["energy_total"] = figure(None, "J/tok", "unavailable", "no meter at all")
        r["figures"]["hbm_bytes_moved"] = figure(0.0, "B/tok")
    del cut[2]["figures"]["perplexity"]
    page = good(put(tmp, "missing", cut), cut)
    expect("unavailable: no meter at all" in page.text, "missing: the reason is not told")
    expect(sum("n/a" in c for c in row_of(page, 1)) == 1, "missing: one n/a in row 1")
    expect(sum("n/a" in c for c in row_of(page, 2)) == 2, "missing: two n/a in row 2")
    expect("0" in row_of(page, 1), "missing: a measured zero stays")
    for name, gone in (("no-ppl", ("perplexity", "nll", "nll_dense", "kl_mean")),
                       ("no-decode", ("decode_tok_s", "token_p50", "token_p95", "token_p99",
                                      "time_attention", "time_select"))):
        some = sweep()
        for r in some:
            for key in gone:
                del r["figures"][key]
        good(put(tmp, name, some), some)
    empty = [record(0, {})]
    empty[0]["figures"] = {}
    page = good(put(tmp, "no-figures", empty), empty)


def active_sets(tmp):
    """overlap, sparsity and ratio have plots of their own."""
    layers = 3
    sets = {f"{n}{s}": figure(0.25 + k / 100) for k, n in enumerate(
        ("overlap_static", "overlap_class_static", "density", "concentration_80", "never_active"))
        for s in ("", *(f".{i}" for i in range(layers)))}
    sets.update({f"{n}.{d}{s}": figure(0.5 / d) for n in ("overlap_at", "overlap_class_at")
                 for d in (1, 2, 5, 20) for s in ("", *(f".{i}" for i in range(layers)))})
    sets.update({f"{n}.{i}": figure(40.0 + i) for i in range(layers)
                 for n in ("active_count", "active_count_var", "active_count_var_alone")})
    some = [record(i, {"selector.kind": k}, **sets) for i, k in enumerate(("oracle", "prev"))]
    for r in some:
        r["samples"] = {"concentration": [i / 100 for i in range(101)],
                        "concentration.0": [i / 100 for i in range(101)]}
    page = good(put(tmp, "sets", some), some)
    expect("What earlier tokens had wanted" in page.text, "sets: no plot of overlap")
    expect("How few neurons do the work" in page.text, "sets: no plot of sparsity")
    del some[1]["figures"]["density.1"], some[0]["figures"]["concentration_80"]
    some[0]["figures"]["concentration_80.1"] = figure(None, "", "unavailable", "none active")
    good(put(tmp, "sets-cut", some), some)

    plans = {}
    for k, p in enumerate(("f16", "i4", "given", "alg1", "least_kl")):
        plans[f"plan_bytes.{p}"] = figure(1e5 + k, "B/tok", source=f"precision.ratio = {k}:1:2")
        plans[f"plan_kl.{p}"] = figure(k * 1.25e-4, "nat/tok")
        plans[f"plan_uq.{p}"] = figure(300.0 + k, "nat")
        plans[f"plan_acc.{p}.quiz"], plans[f"plan_acc_err.{p}.quiz"] = figure(0.5), figure(0.02)
    some = [record(0, {}, **plans, **{"plan_kl_calib.f16": figure(None, "nat/tok", "unavailable",
                                                                  "no search needed it")})]
    page = good(put(tmp, "searched", some), some)
    expect("Searched ratios" in page.text, "searched: no plot")
    row = next(r for r in page.rows if r and r[0] == "Algorithm 1")
    expect(row[1:7] == ["97.66", "303.000", "-", "3.75e-4", "-", "-"], f"searched: {row}")
    expect(row[7:] == ["50.0 ± 2.00", "precision.ratio = 3:1:2"], f"searched: {row}")


def bad_folders(tmp):
    whole = sweep()
    bad(os.path.join(tmp, "absent"), "absent", "not a results folder")
    os.mkdir(os.path.join(tmp, "bare"))
    bad(os.path.join(tmp, "bare"), "results.jsonl", "No such file")
    bad(put(tmp, "empty", []), "holds no record")
    bad(put(tmp, "only-torn", [], tail=b"{"), "holds no record")
    bad(put(tmp, "corrupt", whole, tail=b"{oops}\n"), "results.jsonl:10:")
    bad(put(tmp, "nan", whole, tail=b'{"version": NaN}\n'), ":10:", "NaN")
    bad(put(tmp, "bytes", whole, tail=b"\xff\xfe\n"), ":10:", "UTF-8")
    bad(put(tmp, "deep", whole, tail=b"[" * 200000 + b"\n"), ":10:")
    bad(put(tmp, "array", whole, tail=b"[1]\n"), ":10:", "not an object")
    bad(put(tmp, "old", [{**whole[0], "version": 2}]), ":1:", "version 2")
    bad(put(tmp, "twice", [whole[0], whole[0]]), ":2:", "line 1")
    less = copy.deepcopy(whole[0])
    less["figures"]["ttft"] = {"value": "fast"}
    bad(put(tmp, "malformed", [less]), ":1:", "ttft")
    for key in ("point", "index", "config", "axes", "identity"):
        bad(put(tmp, "no-" + key, [{k: v for k, v in whole[0].items() if k != key}]), ":1:", key)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        good_pages(tmp)
        missing_figures(tmp)
        active_sets(tmp)
        bad_folders(tmp)
    for fault in faults:
        print("FAIL", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
