# SPDX-License-Identifier: MIT
"""The plots: each panel is one small SVG that goes into the page; the legend
is HTML, so that it wraps on a phone and covers nothing.

A plot is {title, caption, panels, legend} and perhaps wide and after, HTML below it; one whose figures no point
has is None."""
import re

from drawing import COLOURS, DASHES, GREY, HATCHES, MARKERS, cut, draw, plain
from records import DENSE, axis_text
from searched import searched
from sets import overlap, sparsity
from units import Scale, number, scale_for

TIMES = [("time_attention", "attention, norms, head"), ("time_select", "selection"),
         ("time_phase_a", "phase A: gate, up"), ("time_phase_b", "phase B: down"),
         ("time_copy_wait", "waiting for copies")]
MOST_PANELS, MOST_ROWS, MOST_WORDS = 9, 40, 10


class Series:
    """A colour, a shape and dashes for each value of an axis."""

    def __init__(self, axis, values):
        self.axis, self.values = axis, values

    def place(self, value):
        return self.values.index(value) if value in self.values else 0

    def style(self, value):
        i = self.place(value)
        return {"color": COLOURS[i % 7], "marker": MARKERS[(i + i // 7) % 7],
                "linestyle": DASHES[i % 4]}

    def legend(self, line):
        keys = []
        for v in self.values if self.axis else []:
            s = self.style(v)
            keys.append((axis_text(self.axis, v), s["color"], s["marker"],
                         s["linestyle"] if line else None))
        return keys


def values_of(results, axis):
    """In the order of the points, which is the order written."""
    return list(dict.fromkeys(p.get(axis) for p in results.tiered)) if axis else []


def colour_axis(results):
    """What a scatter tells apart by colour."""
    best = ["precision.ratio"] + [a for a in results.varying if not a.startswith("hbm.")]
    return next((a for a in best if a in results.varying),
                results.varying[0] if results.varying else None)


def how_text(points, names):
    """'measured', 'estimated' or what there is, of these figures."""
    hows = set()
    for p in points:
        for n in names:
            f = p.figure(n)
            hows.update(h for h in f.hows if h != "unavailable") if f else None
    return " and ".join(sorted(hows)) or "unavailable"


def scale_of(points, name):
    figures = [f for f in (p.figure(name) for p in points) if f and f.values]
    unit = figures[0].unit if figures else ""
    return scale_for(name, unit, [v for f in figures for v in f.values])


def per_token(scale):
    return scale.unit.replace("/tok", " a token")


def with_unit(words, scale):
    return f"{words} ({scale.unit})" if scale.unit else words


def ranges(figures, scale):
    """Error bars from the least to the most; None where nothing varies."""
    if not any(f.half for f in figures):
        return None
    return [[scale.of(f.mean - min(f.values)) for f in figures],
            [scale.of(max(f.values) - f.mean) for f in figures]]


def bars_text(results):
    many = any(len(p.ok) > 1 for p in results.points)
    return " Points are means over the repetitions, bars their range." if many else ""


def put_words(ax, words):
    """Writes (x, y, text, colour) beside their points, none over another:
    boxes are guessed in shares of the axes."""
    taken = []
    low, high = ax.get_xlim()
    bottom, top = ax.get_ylim()
    for x, y, text, colour in words:
        fx, fy = (x - low) / (high - low), (y - bottom) / (top - bottom)
        wide, left = 0.026 * len(text), fx > 0.6
        x0 = fx - 0.03 - wide if left else fx + 0.03
        spots = [fy + d for k in range(8) for d in (0.075 * k, -0.075 * k)]
        spots = [s for s in spots if 0.03 < s < 0.97] or [fy]
        free = (s for s in spots if not any(
            x0 < b + 0.01 and a < x0 + wide + 0.01 and abs(s - t) < 0.07
            for a, b, t in taken))
        at = next(free, spots[0])
        taken.append((x0, x0 + wide, at))
        ax.text(x0 + (wide if left else 0), at, text, color=colour, fontsize=8,
                transform=ax.transAxes, ha="right" if left else "left", va="center")


def scatter(results, name, x, y, xs, ys, x_label, y_label, series, words):
    """One panel of points; repetitions are bars of the range."""
    def paint(ax):
        at = {}
        for p in results.points:
            fx, fy = p.figure(x), p.figure(y)
            if not (fx and fy and fx.values and fy.values):
                continue
            value = p.get(series.axis) if series.axis else None
            s = {"color": GREY, "marker": "*"} if p.dense else series.style(value)
            ax.errorbar(xs.of(fx.mean), ys.of(fy.mean), xerr=ranges([fx], xs),
                        yerr=ranges([fy], ys), color=s["color"], marker=s["marker"],
                        linestyle="none", elinewidth=0.8, alpha=0.85,
                        markersize=9 if p.dense else 5.5, markeredgecolor="white",
                        markeredgewidth=0.5)
            text = DENSE if p.dense else axis_text(series.axis, value) if series.axis else ""
            at.setdefault(text, []).append((xs.of(fx.mean), ys.of(fy.mean), s["color"]))
        ax.margins(0.09, 0.12)
        if x.endswith(("_read", "tok_s")):
            ax.set_xlim(left=0)
        if y.startswith("kl"):
            ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
        ax.set_xlabel(x_label)
        ax.set_ylabel(y_label)
        ax.locator_params(nbins=6)
        plain(ax)
        if words and len(at) <= MOST_WORDS:
            put_words(ax, [(*spots[0][:2], cut(text, 20), spots[0][2]) for text, spots in at.items()
                           if text])
    return draw(name, f"{y_label} against {x_label}", (3.5, 2.75), paint)


def accuracy(results):
    """Perplexity and KL against FFN bytes read a token."""
    measures = [m for m in (("perplexity", "perplexity"),
                            ("kl_mean", "KL from dense (nat/token)")) if results.has(m[0])]
    if not measures or not results.has("ffn_bytes_read"):
        return None
    axis = colour_axis(results)
    series = Series(axis, values_of(results, axis))
    xs = scale_of(results.points, "ffn_bytes_read")
    x_label = with_unit("FFN bytes read", xs)
    panels = [(label, scatter(results, f"acc{i}", "ffn_bytes_read", m, xs, Scale("", 1.0),
                              x_label, label, series, True))
              for i, (m, label) in enumerate(measures)]
    how = how_text(results.points, ["ffn_bytes_read"] + [m for m, _ in measures])
    return {"title": "Accuracy and the bytes it costs", "panels": panels,
            "legend": series.legend(False) + dense_key(results),
            "caption": f"{how}; {per_token(xs)}. Weight bytes of the neurons computed, "
                       "wherever they lie. Lower left is better. Where they lie and who "
                       "evicts them does not change the numbers, so such points coincide."
                       + span(results) + bars_text(results)}


def traffic(results):
    """KL against bytes moved, where what decides both varies."""
    axis = next((a for a in ("precision.hysteresis", "precision.assign") if a in results.varying),
                "precision.reuse")
    if axis not in results.varying or not (results.has("kl_mean") and
                                           results.has("hbm_bytes_moved")):
        return None
    series = Series(axis, values_of(results, axis))
    xs = scale_of(results.points, "hbm_bytes_moved")
    svg = scatter(results, "traffic", "hbm_bytes_moved", "kl_mean", xs, Scale("", 1.0),
                  with_unit("bytes into the device", xs), "KL from dense (nat/token)", series, True)
    return {"title": "What keeping classes saves, and costs", "panels": [("", svg)],
            "legend": series.legend(False) + dense_key(results),
            "caption": how_text(results.points, ["hbm_bytes_moved", "kl_mean"]) +
                       f"; {per_token(xs)}. Lower left is better." + bars_text(results)}


def span(results):
    """The axis starts where the points do: says how little it may span."""
    seen = [v for v in (p.value("perplexity") for p in results.points) if v]
    if len(seen) < 2 or min(seen) == max(seen):
        return ""
    return f" The perplexities span {number(100 * (max(seen) / min(seen) - 1), 2)} %."


def speed(results):
    """Perplexity (or KL) against decode speed."""
    y, label = next(((m, w) for m, w in (("perplexity", "perplexity"),
                                         ("kl_mean", "KL from dense (nat/token)"))
                     if results.has(m)), (None, None))
    if not y or not results.has("decode_tok_s"):
        return None
    axis = colour_axis(results)
    series = Series(axis, values_of(results, axis))
    svg = scatter(results, "speed", "decode_tok_s", y, Scale("tok/s", 1.0), Scale("", 1.0),
                  "decode speed (tokens/s)", label, series, False)
    return {"title": "Accuracy and speed", "panels": [(label, svg)],
            "legend": series.legend(False) + dense_key(results),
            "caption": how_text(results.points, ["decode_tok_s", y]) +
                       "; tokens per second after the first, by the host's clock. "
                       "Lower right is better." + span(results) + bars_text(results)}


def dense_key(results):
    return [(DENSE, GREY, "*", None)] if results.dense else []


def size_places(results):
    """Places on the HBM axis: the sizes, when all are percents or all bytes."""
    texts = values_of(results, "hbm.bytes")
    units = {"%": 1, "": 1, "K": 2**10, "M": 2**20, "G": 2**30}
    found = [re.fullmatch(r"([0-9.]+)([%KMG]?)", t or "") for t in texts]
    if all(found) and len({m[2] == "%" for m in found}) == 1:
        size = [float(m[1]) * units[m[2]] for m in found]
        order = [t for _, t in sorted(zip(size, texts))]
    else:
        order = texts
    return {t: i for i, t in enumerate(order)}


def by_size(results, name, figure, title, words, better):
    """A figure against HBM size, a line a policy, a panel of what else varies."""
    if not any(p.value(figure) is not None for p in results.tiered):
        return None
    places = size_places(results)
    rest = [a for a in results.varying if a not in ("hbm.bytes", "hbm.policy")]
    policy = "hbm.policy" if "hbm.policy" in results.varying else None
    series = Series(policy, values_of(results, policy))
    groups = {}
    for p in results.tiered:
        if p.value(figure) is not None:
            groups.setdefault(results.label(p, rest) if rest else "", []).append(p)
    scale = scale_of(results.points, figure)
    top = max((scale.of(max(p.figure(figure).values)) for p in results.points
               if p.value(figure) is not None), default=1) or 1
    panels = []
    for i, (head, points) in enumerate(list(groups.items())[:MOST_PANELS]):
        def paint(ax, head=head, points=points):
            panel(ax, results, figure, scale, series, places, points)
            ax.set_ylim(-0.04 * top, 1.08 * top)
            ax.set_xlabel("HBM for neurons (share of the 16-bit FFN)"
                          if all("%" in t for t in places) else "HBM for neurons (bytes)")
            ax.set_ylabel(with_unit(words, scale))
            ax.set_title(cut(head))
        panels.append((head, draw(f"{name}{i}", f"{title} {head}", (3.5, 2.6), paint)))
    left = len(groups) - len(panels)
    return {"title": title, "panels": panels,
            "legend": series.legend(True) + ([(DENSE, GREY, "", ":")] if results.dense else []),
            "caption": f"{how_text(results.points, [figure])}; "
                       f"{per_token(scale)}. {better}{bars_text(results)}"
                       + (f" {left} more panels are left out; the table has all." if left else "")}


def panel(ax, results, figure, scale, series, places, points):
    lines = {}
    for p in points:
        lines.setdefault(p.get(series.axis) if series.axis else None, []).append(p)
    for value, line in lines.items():
        line.sort(key=lambda p: places[p.get("hbm.bytes")])
        figures = [p.figure(figure) for p in line]
        # Beside each other, so that equal values hide none.
        aside = 0.05 * (series.place(value) - (len(series.values) - 1) / 2)
        ax.errorbar([places[p.get("hbm.bytes")] + aside for p in line],
                    [scale.of(f.mean) for f in figures], yerr=ranges(figures, scale),
                    elinewidth=0.8, capsize=2, markeredgecolor="white", markeredgewidth=0.5,
                    **series.style(value))
    for p in results.dense:
        if p.value(figure) is not None:
            ax.axhline(scale.of(p.value(figure)), color=GREY, linestyle=":", linewidth=1.1)
    ax.set_xticks(list(places.values()))
    ax.set_xticklabels([cut(str(t), 9) for t in places])
    ax.set_xlim(-0.4, len(places) - 0.6)


def rows_of(results, names):
    return [p for p in results.points if all(p.value(n) is not None for n in names)]


def rows_axes(ax, rows, results, label):
    ax.set_yticks(range(len(rows)))
    ax.set_yticklabels([cut(results.label(p)) for p in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(left=0)
    ax.set_xlabel(label)
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=5)


def left_out(rows):
    return "" if len(rows) <= MOST_ROWS else \
        f" The first {MOST_ROWS} of {len(rows)} points; the table has all."


def mean_time(point):
    """Seconds a token: the mean of times, as the parts are, not of speeds."""
    speeds = point.figure("decode_tok_s").values
    return sum(1 / v for v in speeds) / len(speeds)


def times(results):
    """Stacked bars: where the compute queue spends a token."""
    names = [n for n, _ in TIMES]
    rows = rows_of(results, names)
    if not rows:
        return None
    total = {p.hash: mean_time(p) for p in rows if p.value("decode_tok_s")}
    sums = [sum(p.value(n) for n in names) for p in rows] + list(total.values())
    scale = scale_for("time", "s/tok", sums)
    show = rows[:MOST_ROWS]

    def paint(ax):
        left = [0.0] * len(show)
        for (name, _), colour, hatch in zip(TIMES, COLOURS, HATCHES):
            v = [scale.of(p.value(name)) for p in show]
            ax.barh(range(len(show)), v, left=left, height=0.72, color=colour, hatch=hatch,
                    linewidth=0)
            left = [a + b for a, b in zip(left, v)]
        marks = [(scale.of(total[p.hash]), i) for i, p in enumerate(show) if p.hash in total]
        ax.plot([m for m, _ in marks], [i for _, i in marks], linestyle="none", marker="|",
                color="black", markersize=9, markeredgewidth=1.4)
        rows_axes(ax, show, results, f"time of a token ({scale.unit})")
    svg = draw("times", "time of a token by part", (4.6, 0.75 + 0.2 * len(show)), paint)
    keys = [(w, c, "bar", h) for (_, w), c, h in zip(TIMES, COLOURS, HATCHES)]
    return {"title": "Where the time of a token goes", "panels": [("", svg)], "wide": True,
            "legend": keys + ([("whole token, by the host's clock", "#000000", "|", None)]
                              if total else []),
            "caption": f"{how_text(rows, names)}; {per_token(scale)}, by events on "
                       "the compute queue. What lies between the bar and the mark is the "
                       "host's own work and its waits." + left_out(rows)}


def latency(results):
    """p50, p95, p99 of a decode step."""
    names = ["token_p50", "token_p95", "token_p99"]
    rows = rows_of(results, names)
    if not rows:
        return None
    scale = scale_for("time", "s", [p.value(n) for p in rows for n in names])
    show = rows[:MOST_ROWS]

    def paint(ax):
        for i, p in enumerate(show):
            v = [scale.of(p.value(n)) for n in names]
            ax.plot(v, [i] * 3, color="#bbbbbb", linewidth=1.2, zorder=1)
            for k in range(3):
                ax.plot(v[k], i, marker=MARKERS[k], color=COLOURS[k], linestyle="none")
        rows_axes(ax, show, results, f"time of a token ({scale.unit})")
    svg = draw("latency", "percentiles of token time", (4.6, 0.75 + 0.2 * len(show)), paint)
    return {"title": "How even the tokens are", "panels": [("", svg)], "wide": True,
            "legend": [(w, COLOURS[k], MARKERS[k], None)
                       for k, w in enumerate(("median", "95th percentile", "99th percentile"))],
            "caption": f"{how_text(rows, names)}; {scale.unit} a token, by the host's clock."
                       + left_out(rows)}


def all_plots(results):
    plots = [
        accuracy(results), speed(results), traffic(results),
        by_size(results, "hit", "hit_ratio_hbm", "Neurons found on the device", "hit ratio",
                "Neurons that were resident, or coming, when wanted. Higher is better."),
        by_size(results, "moved", "hbm_bytes_moved", "Bytes moved from DRAM to the device",
                "moved", "Lower is better."),
        times(results), latency(results), overlap(results), sparsity(results),
        searched(results)]
    return [p for p in plots if p]
