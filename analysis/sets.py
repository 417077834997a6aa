# SPDX-License-Identifier: MIT
"""Plots of the active sets: experiments `overlap` and `sparsity`. One row of panels
for each point that ran them."""
from drawing import COLOURS, DASHES, GREY, MARKERS, cut, draw

LAGS = (1, 2, 5, 20)
MOST_POINTS = 4
STYLES = [{"color": c, "marker": m, "linestyle": d}
          for c, m, d in zip(COLOURS, MARKERS, DASHES + DASHES)]


def layers_of(point, name):
    """Values of name.0, name.1, ... in percent or as they are."""
    out = []
    while point.value(f"{name}.{len(out)}") is not None:
        out.append(point.value(f"{name}.{len(out)}"))
    return out


def percent(values):
    return [100 * v for v in values]


def key(words, style):
    return (words, style["color"], style.get("marker", ""), style["linestyle"])


def rows(results, name, panels):
    """The panels of each point that has the figure, and what is left out."""
    points = [p for p in results.points if p.value(name) is not None]
    out = []
    for i, p in enumerate(points[:MOST_POINTS]):
        head = results.label(p) if len(points) > 1 else ""
        out += [(head, panel(p, f"{name.split('.', maxsplit=1)[0]}{i}{k}", cut(head)))
                for k, panel in enumerate(panels)]
    left = len(points) - min(len(points), MOST_POINTS)
    return out, f" {left} more points are left out; the table has all." if left else ""


ALONE = {"color": GREY, "linestyle": ":"}
BY_LAG = {1: STYLES[0], 2: STYLES[1], 5: STYLES[2], 20: STYLES[3]}


def by_distance(point, name, head):
    def paint(ax):
        for k, figure in enumerate(("overlap_at", "overlap_class_at")):
            ax.plot(range(4), percent(point.value(f"{figure}.{d}") for d in LAGS), **STYLES[k])
        for k, figure in enumerate(("overlap_static", "overlap_class_static")):
            ax.axhline(100 * point.value(figure), color=COLOURS[k], linestyle=":", linewidth=1.1)
        ax.set_xticks(range(4))
        ax.set_xticklabels(LAGS)
        ax.set_xlim(-0.3, 3.3)
        ax.set_ylim(0, 100)
        ax.set_xlabel("tokens apart")
        ax.set_ylabel("wanted again (%)")
        ax.set_title(head)
    return draw(name, "share of active neurons wanted again by distance", (3.5, 2.6), paint)


def by_layer(point, name, head):
    def paint(ax):
        for d in LAGS:
            y = percent(layers_of(point, f"overlap_at.{d}"))
            ax.plot(range(len(y)), y, **BY_LAG[d])
        y = percent(layers_of(point, "overlap_static"))
        ax.plot(range(len(y)), y, linewidth=1.1, **ALONE)
        ax.set_ylim(0, 100)
        ax.set_xlabel("layer")
        ax.set_ylabel("wanted again (%)")
        ax.set_title(head)
        ax.locator_params(axis="x", integer=True)
    return draw(name, "share of active neurons wanted again by layer", (3.5, 2.6), paint)


def counts(point, name, head):
    def paint(ax):
        mean = layers_of(point, "active_count")
        for k, figure in enumerate(("active_count_var", "active_count_var_alone")):
            y = [v ** 0.5 / m if m else 0 for v, m in zip(layers_of(point, figure), mean)]
            style = STYLES[0] if k == 0 else ALONE
            ax.plot(range(len(y)), percent(y), **style)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("layer")
        ax.set_ylabel("σ of the number active (% of it)")
        ax.set_title(head)
        ax.locator_params(axis="x", integer=True)
    return draw(name, "spread of the number of active neurons by layer", (3.5, 2.6), paint)


def overlap(results):
    panels, left = rows(results, "overlap_at.1", [by_distance, by_layer, counts])
    if not panels:
        return None
    return {"title": "What earlier tokens had wanted", "panels": panels,
            "legend": [key("the neuron (left)", STYLES[0]),
                       key("the neuron at the same class (left)", STYLES[1]),
                       *(key(f"{d} apart (middle)", BY_LAG[d]) for d in LAGS),
                       key("frequencies alone", ALONE)],
            "caption": "measured; share of a token's active neurons that a later token of the "
                       "same document wants. Dotted: what the neurons' frequencies would give if "
                       "tokens were drawn one without the other; what lies above is due to their "
                       "order. Right: standard deviation of the number of active neurons over its "
                       "mean, dotted that of neurons which know nothing of each other." + left}


def density(point, name, head):
    def paint(ax):
        for k, (figure, _) in enumerate(SHAPE):
            y = percent(layers_of(point, figure))
            ax.plot(range(len(y)), y, **STYLES[k])
        ax.set_ylim(0, 100)
        ax.set_xlabel("layer")
        ax.set_ylabel("neurons (%)")
        ax.set_title(head)
        ax.locator_params(axis="x", integer=True)
    return draw(name, "density and concentration by layer", (3.5, 2.6), paint)


def curve(point, name, head):
    samples = point.ok[0].get("samples") or {}
    whole = samples.get("concentration") or []

    def paint(ax):
        for figure in sorted(k for k in samples if k.startswith("concentration.")):
            ax.plot(percent(i / 100 for i in range(101)), percent(samples[figure]), color="#bbbbbb",
                    linewidth=0.8)
        ax.plot(percent(i / 100 for i in range(len(whole))), percent(whole), color=COLOURS[0])
        at = point.value("concentration_80")
        if at is not None:
            ax.plot([100 * at], [80], marker=MARKERS[1], color=COLOURS[1], linestyle="none")
        ax.set_xlim(0, 100)
        ax.set_ylim(0, 100)
        ax.set_xlabel("neurons, hottest first (%)")
        ax.set_ylabel("of activations (%)")
        ax.set_title(head)
    return draw(name, "share of activations of the hottest neurons", (3.5, 2.6), paint)


SHAPE = [("density", "active for a token"), ("concentration_80", "make 80 % of activations"),
         ("never_active", "never active in this text")]


def sparsity(results):
    panels, left = rows(results, "density", [density, curve])
    if not panels:
        return None
    return {"title": "How few neurons do the work", "panels": panels,
            "legend": [key(words, STYLES[k]) for k, (_, words) in enumerate(SHAPE)] +
                      [("whole model (right)", COLOURS[0], "", "-"),
                       ("each layer (right)", "#bbbbbb", "", "-"),
                       ("80 % (right)", COLOURS[1], MARKERS[1], None)],
            "caption": "measured; over all tokens of the text. The sooner a curve on the right "
                       "rises, the more a cache of the hottest neurons would catch." + left}
