# SPDX-License-Identifier: MIT
"""Experiment `ratio`: the searched shares of precisions, as plots and as a table."""
from html import escape

from drawing import COLOURS, GREY, MARKERS, draw
from units import number, scale_for

WORDS = {"given": "the ratio given", "alg1": "Algorithm 1", "alg1_three": "Algorithm 1, extended",
         "least_kl": "least KL, bytes of Algorithm 1",
         "least_kl_given": "least KL, bytes of the given"}
SEARCHED = {"given": 0, "alg1": 1, "alg1_three": 2, "least_kl": 3, "least_kl_given": 4}


def plans_of(point):
    """Names of the plans, in the order of the record."""
    said = dict.fromkeys(k for r in point.ok for k in r["figures"])
    return [k.split(".", 1)[1] for k in said if k.startswith("plan_bytes.")]


def style(plan):
    if plan not in SEARCHED:
        return {"color": GREY, "marker": "*"}
    i = SEARCHED[plan]
    return {"color": COLOURS[i], "marker": MARKERS[i]}


def against(point, plans, x, name, label, of):
    """KL on a log scale: plans without any loss have no place on it."""
    def paint(ax):
        for p in plans:
            kl, at = point.value("plan_kl." + p), point.value(f"{x}.{p}")
            if kl is None or at is None or kl < 1e-9:
                continue
            ax.plot([of(at)], [kl], linestyle="none", markersize=8 if p not in SEARCHED else 6,
                    **style(p))
            if p not in SEARCHED:
                ax.annotate(p, (of(at), kl), xytext=(6, 0), textcoords="offset points",
                            color=GREY, va="center")
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(lambda v, _: f"{v:.0e}".replace("e-0", "e-"))
        ax.yaxis.set_minor_formatter(lambda v, _: "")
        ax.margins(0.12, 0.12)
        ax.set_xlabel(label)
        ax.set_ylabel("KL from dense (nat/token)")
        ax.locator_params(axis="x", nbins=5)
    return draw(name, f"KL against {label}", (3.5, 2.75), paint)


def cells(point, plan, tasks, bytes_of):
    def value(name, digits=4, scale=1.0):
        v = point.value(name)
        return "-" if v is None else number(v * scale, digits)
    text = point.figure("plan_bytes." + plan).sources[0]
    out = [f'<td class="axis">{escape(WORDS.get(plan, "all " + plan))}</td>',
           f"<td>{number(bytes_of(point.value('plan_bytes.' + plan)), 4)}</td>"]
    out += [f"<td>{value(f'{name}.{plan}', digits)}</td>" for name, digits in
            (("plan_uq", 6), ("plan_kl_calib", 4), ("plan_kl", 4), ("plan_kl_p99", 4),
             ("plan_perplexity", 6))]
    for t in tasks:
        acc, err = (value(f"{n}.{plan}.{t}", 3, 100) for n in ("plan_acc", "plan_acc_err"))
        out.append(f"<td>{acc} ± {err}</td>")
    return "<tr>" + "".join(out) + f'<td class="text">{escape(text)}</td></tr>'


def table(point, plans, scale):
    said = dict.fromkeys(k for r in point.ok for k in r["figures"])
    head = f"plan_acc.{plans[0]}."
    tasks = [k[len(head):] for k in said if k.startswith(head)]
    titles = ["plan", f"bytes<small>{escape(scale.unit)}</small>", "UQEst<small>nat</small>",
              "KL, calibration<small>nat/tok</small>", "KL<small>nat/tok</small>",
              "KL p99<small>nat/tok</small>", "perplexity"]
    titles += [f"{escape(t)}<small>% right</small>" for t in tasks] + ["chosen"]
    rows = "".join(cells(point, p, tasks, scale.of) for p in plans)
    return ('<div class="scroll"><table><thead><tr>' + "".join(f"<th>{t}</th>" for t in titles) +
            f"</tr></thead><tbody>{rows}</tbody></table></div>")


def searched(results):
    points = [p for p in results.points if p.ok and plans_of(p)]
    if not points:
        return None
    panels, tables = [], []
    for i, point in enumerate(points):
        plans = plans_of(point)
        scale = scale_for("plan_bytes", "B/tok", [point.value("plan_bytes." + p) for p in plans])
        panels += [("", against(point, plans, "plan_bytes", f"searchb{i}",
                                f"FFN bytes ({scale.unit})", scale.of)),
                   ("", against(point, plans, "plan_uq", f"searchu{i}", "UQEst (nat)", float))]
        if len(points) > 1:
            tables.append(f"<p>{escape(results.label(point))}</p>")
        tables.append(table(point, plans, scale))
    shown = [p for p in SEARCHED if any(p in plans_of(x) for x in points)]
    return {"title": "Searched ratios", "panels": panels, "after": "".join(tables),
            "legend": [(WORDS[p], COLOURS[SEARCHED[p]], MARKERS[SEARCHED[p]], None)
                       for p in shown] + [("one class for all", GREY, "*", None)],
            "caption": "measured, on text that no search has seen. Left: lower left is better. "
                       "Right: where UQEst were a measure of accuracy, points would rise from left "
                       "to right. Plans that lose nothing have no place on a logarithmic axis."}
