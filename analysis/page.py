# SPDX-License-Identifier: MIT
"""The page: one HTML text that loads nothing, from results and plots."""
from html import escape

from records import short
from summary import summary
from units import scale_for, spread

# Columns of the table of points, where any record speaks of them.
MAIN = [("perplexity", "perplexity"), ("kl_mean", "KL"), ("top1_agree", "top-1"),
        ("decode_tok_s", "decode"), ("ttft", "TTFT"), ("token_p50", "token p50"),
        ("token_p99", "token p99"), ("hit_ratio_hbm", "HBM hits"),
        ("class_kept", "class kept"),
        ("hit_ratio_dram", "DRAM hits"), ("ffn_bytes_read", "FFN read"),
        ("hbm_bytes_moved", "DRAM→HBM"), ("ssd_bytes_moved", "SSD→DRAM"),
        ("active_fraction", "active"), ("mean_bits", "bits"),
        ("device_bytes_peak", "device peak"), ("rss_peak", "RSS peak"),
        ("energy_total", "energy"), ("carbon", "carbon")]

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1a1a1a;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid #ddd; }
p, ul, dl { max-width: 44rem; }
.sub { color: #555; margin: 0 0 1rem; overflow-wrap: anywhere; }
.note { border-left: 3px solid #E69F00; padding: .1rem 0 .1rem .8rem; margin: .8rem 0; }
figure { margin: .5rem 0 0; break-inside: avoid; }
.panels { display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }
.panels > svg { width: 100%; max-width: 27rem; height: auto; display: block; }
.panels.wide > svg { max-width: 40rem; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; margin: 0 0 .4rem;
  padding: 0; font-size: .9rem; max-width: none; }
.legend svg { width: 1.7em; height: .9em; vertical-align: -.08em; margin-right: .35em; }
figcaption { font-size: .9rem; color: #444; max-width: 44rem; margin-top: .35rem; }
.scroll { overflow-x: auto; margin: .5rem 0; border: 1px solid #ddd; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #eee; }
th { background: #f6f6f6; vertical-align: bottom; font-weight: 600; }
th small { display: block; font-weight: 400; color: #555; }
th.axis, td.axis, td.text, th.text { text-align: left; }
td.text { white-space: normal; min-width: 8rem; overflow-wrap: anywhere; }
td.na { color: #777; }
tr.dense td { background: #f6f6f6; }
th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid #0072B2; }
th[aria-sort=ascending] button::after { content: " ↑"; }
th[aria-sort=descending] button::after { content: " ↓"; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .9rem; }
dt { color: #555; }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: #f6f6f6; padding: .75rem; overflow-x: auto; font-size: .8rem; }
summary { cursor: pointer; }
.notes { font-size: .85rem; color: #444; }
@media print {
  body { font-size: 10pt; } main { max-width: none; padding: 0; }
  .scroll { overflow: visible; border: 0; } table { font-size: 5.6pt; }
  th, td { padding: .1rem .25rem; }
  .sheet { page: sheet; } h2 { break-after: avoid; }
  .panels { grid-template-columns: repeat(2, 1fr); } .panels.wide { grid-template-columns: 1fr; }
}
@page { margin: 14mm; }
@page sheet { size: landscape; }
"""

# Sorting needs no more than this; without it the table stands as it is.
JS = """
document.querySelectorAll("table.sort").forEach(function (t) {
  t.querySelectorAll("thead th").forEach(function (th, i) {
    var b = document.createElement("button");
    while (th.firstChild) b.appendChild(th.firstChild);
    th.appendChild(b);
    b.addEventListener("click", function () {
      var up = th.getAttribute("aria-sort") !== "ascending";
      t.querySelectorAll("th").forEach(function (o) { o.removeAttribute("aria-sort"); });
      th.setAttribute("aria-sort", up ? "ascending" : "descending");
      var body = t.tBodies[0];
      Array.from(body.rows).sort(function (a, b) {
        var x = a.cells[i].dataset.v, y = b.cells[i].dataset.v;
        if (x === "" || y === "") return (x === "") - (y === "");
        var d = isNaN(x) || isNaN(y) ? x.localeCompare(y, undefined, {numeric: true}) : x - y;
        return up ? d : -d;
      }).forEach(function (r) { body.appendChild(r); });
    });
  });
});
"""

SHAPES = {"o": '<circle cx="14" cy="7" r="5"/>', "s": '<rect x="9" y="2" width="10" height="10"/>',
          "^": '<path d="M14 1l6 11H8z"/>', "D": '<path d="M14 0l6 7-6 7-6-7z"/>',
          "v": '<path d="M14 13L8 2h12z"/>', "P": '<path d="M12 1h4v4h4v4h-4v4h-4V9H8V5h4z"/>',
          "X": '<path d="M10 1l4 4 4-4 2 2-4 4 4 4-2 2-4-4-4 4-2-2 4-4-4-4z"/>',
          "*": '<path d="M14 0l2 5h5l-4 3 2 6-5-4-5 4 2-6-4-3h5z"/>',
          "|": '<rect x="12.5" y="0" width="3" height="14"/>', "": ""}
STROKES = {"-": "", "--": "6 3", "-.": "7 3 2 3", ":": "2 3"}


def swatch(colour, shape, line):
    if shape == "bar":
        inside = f'<rect x="2" y="0" width="24" height="14" fill="{colour}"/>'
        marks = {"///": "M4 14L16 0M12 14L24 0", "---": "M2 4h24M2 10h24",
                 "xxx": "M4 14L16 0M12 14L24 0M4 0l12 14M12 0l12 14"}
        if line:
            inside += f'<path d="{marks[line]}" stroke="#fff" stroke-width="1.5"/>'
        return inside
    inside = f'<g fill="{colour}">{SHAPES[shape]}</g>'
    if line:
        inside += (f'<path d="M0 7h28" stroke="{colour}" stroke-width="2" '
                   f'stroke-dasharray="{STROKES[line]}"/>')
    return inside


def legend(keys):
    if not keys:
        return ""
    items = "".join(f'<li><svg viewBox="0 0 28 14" aria-hidden="true">{swatch(c, s, l)}</svg>'
                    f"{escape(text)}</li>" for text, c, s, l in keys)
    return f'<ul class="legend">{items}</ul>'


def plot(p):
    wide = " wide" if p.get("wide") else ""
    return (f"<h2>{escape(p['title'])}</h2><figure>{legend(p['legend'])}"
            f'<div class="panels{wide}">{"".join(svg for _, svg in p["panels"])}</div>'
            f"<figcaption>{escape(p['caption'])}</figcaption></figure>{p.get('after', '')}")


class Notes:
    """Reasons for what is not there, each said once below the table."""

    def __init__(self):
        self.reasons = []

    def mark(self, reason):
        if reason not in self.reasons:
            self.reasons.append(reason)
        return f"n/a<sup>{self.reasons.index(reason) + 1}</sup>"

    def html(self):
        return "".join(f'<p class="notes"><sup>{i}</sup> {escape(r)}</p>'
                       for i, r in enumerate(self.reasons, 1))


def why_not(point, figure):
    if figure:
        return "unavailable: " + "; ".join(figure.sources)
    if not point.ok:
        return "the point failed: its error is below"
    return "the experiments that ran at this point do not report it"


def cell(point, name, scale, notes):
    f = point.figure(name)
    if not f or f.mean is None:
        return f'<td class="na" data-v="">{notes.mark(why_not(point, f))}</td>'
    text = spread(scale.of(f.mean), scale.of(f.half), len(f.values),
                  5 if name == "perplexity" else 4)
    return f'<td data-v="{f.mean!r}">{escape(text)}</td>'


def column(results, name):
    figures = [f for f in (p.figure(name) for p in results.points) if f]
    return scale_for(name, figures[0].unit, [v for f in figures for v in f.values])


def tasks(said):
    """Accuracies on questions, a column for each task and way of counting."""
    return [(n, n.split(".", 1)[1] + title) for measure, title in
            (("task_acc.", ""), ("task_acc_norm.", " per char."), ("task_perplexity.", " ppl"))
            for n in said if n.startswith(measure)]


def points_table(results):
    said = results.figure_names()
    names = [(n, title) for n, title in MAIN if n in said] + tasks(said)
    scales = {n: column(results, n) for n, _ in names}
    notes = Notes()
    head = '<th class="axis">#</th>'
    head += "".join(f'<th class="axis" title="{escape(a)}">{escape(short(a))}</th>'
                    for a in results.axes) + "<th>runs</th>"
    head += "".join(f'<th title="{escape(n)}">{escape(title)}<small>{escape(scales[n].unit)}</small></th>'
                    for n, title in names)
    rows = []
    for p in results.points:
        cells = f'<td class="axis" data-v="{p.index}">{p.index}</td>'
        cells += "".join(f'<td class="axis" data-v="{escape(str(p.get(a) or ""))}">'
                         f'{escape(str(p.get(a) or "-"))}</td>' for a in results.axes)
        bad = f" ({len(p.failed)} failed)" if p.failed else ""
        cells += f'<td data-v="{len(p.ok)}">{len(p.ok)}{bad}</td>'
        cells += "".join(cell(p, n, scales[n], notes) for n, _ in names)
        rows.append(f'<tr{" class=dense" if p.dense else ""}>{cells}</tr>')
    few = ""
    if any(len(p.ok) > 1 for p in results.points):
        few = "<p>Means over the repetitions, ± half their range.</p>"
    return (f'<section class="sheet"><h2>All points</h2>{few}<div class="scroll"><table class="sort"><thead><tr>{head}'
            f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{notes.html()}"
            "<p class=notes>results.csv and results.h5 in the same folder hold every "
            "figure and sample.</p></section>")


def failures(results):
    rows = [(p, r) for p in results.points for r in p.failed]
    if not rows:
        return ""
    body = "".join(
        f'<tr><td class="axis">{p.index}</td><td class="axis">{r["rep"]}</td>'
        f'<td class="axis">{escape(results.label(p))}</td>'
        f'<td class="text">{escape(str(r.get("error") or "no error is recorded"))}</td></tr>'
        for p, r in rows)
    return ('<h2>What failed</h2><div class="scroll"><table><thead><tr><th class="axis">#</th>'
            '<th class="axis">repetition</th><th class="axis">point</th>'
            f'<th class="text">error</th></tr></thead><tbody>{body}</tbody></table></div>')


def labels(results):
    words = dict.fromkeys(str(w) for r in results.records for w in r.get("labels") or [])
    text = {"simulated": "nothing here was measured: times and energy are those of a machine that is "
                         "a file of numbers. Which neurons move, and when, was decided by the "
                         "code that decides it on a real one.",
            "informed": "the selector reads the true activations of the layer, from a copy of "
                        "the gate and up weights outside the tiers. No deployed system has "
                        "them: accuracy, hits and bytes are an upper bound on what a "
                        "predictor could do, and time spent on the copy is in the times.",
            "given-sets": "which neurons are active was drawn by a process or read from a "
                          "trace, not computed: bytes, copies and work are those of a model "
                          "that wants them, text and scores mean nothing.",
            "random-weights": "the model's weights are random numbers: bytes, copies and work "
                              "are real, text and scores mean nothing.",
            "at-least": "a neuron that lies on the device wider than wanted is computed as it lies "
                        "there: accuracy depends on the cache, which is not so otherwise."}
    return "".join(f'<p class="note"><strong>{escape(w)}</strong>: '
                   f'{escape(text.get(w, "a label of these records."))}</p>' for w in words)


def origins(results):
    """Which figures came how, and from what."""
    groups = {}
    for r in results.records:
        for name, f in r["figures"].items():
            # What is missing is one part of a figure, so its whole name is told.
            told = name if f["value"] is None else name.split(".")[0]
            groups.setdefault((f["how"], f["source"]), {})[told] = True
    rows = "".join(f'<tr><td class="axis">{escape(how)}</td><td class="text">{escape(source)}'
                   f'</td><td class="text">{escape(", ".join(names))}</td></tr>'
                   for (how, source), names in groups.items())
    if not rows:
        return ""
    return ('<h2>How each figure was come by</h2><div class="scroll"><table><thead><tr>'
            '<th class="axis">how</th><th class="text">source</th><th class="text">figures'
            f"</th></tr></thead><tbody>{rows}</tbody></table></div>")


def provenance(results):
    places = {}
    for r in results.records:
        places.setdefault(repr(r["identity"]), (r["identity"], []))[1].append(r["started"])
    out = ["<h2>Where this comes from</h2>"]
    for identity, started in places.values():
        items = dict(identity)
        if isinstance(items.get("memory_bytes"), int):
            items["memory"] = f"{items.pop('memory_bytes') / 2**30:.1f} GiB"
        items["records"] = f"{len(started)}, from {min(started)} to {max(started)}"
        out.append("<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>"
                                    for k, v in items.items()) + "</dl>")
    models = {repr(r.get("model")): r["model"] for r in results.records
              if isinstance(r.get("model"), dict)}
    for m in models.values():
        out.append("<dl>" + "".join(f"<dt>model {escape(k)}</dt><dd>{escape(str(v))}</dd>"
                                    for k, v in m.items()) + "</dl>")
    if results.config_text is None:
        out.append("<p>config.ini is not in the folder.</p>")
    else:
        out.append("<details><summary>config.ini, resolved</summary>"
                   f"<pre>{escape(results.config_text)}</pre></details>")
    return "".join(out)


def page(results, plots):
    name = results.records[0]["config"].get("experiment.name") or "m2c"
    torn = "" if not results.torn else (
        f'<p class="note">The last line of the journal was torn ({results.torn} bytes) and is '
        "left out; <code>m2c-exp --resume</code> runs that point again.</p>")
    empty = "" if plots else "<p>No point has the figures that a plot needs.</p>"
    return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(name)}</title><style>{CSS}</style></head><body><main>"
            f"<h1>{escape(name)}</h1>{summary(results)}{torn}{labels(results)}{empty}"
            + "".join(plot(p) for p in plots) + points_table(results) + failures(results)
            + origins(results) + provenance(results)
            + f"</main><script>{JS}</script></body></html>\n")
