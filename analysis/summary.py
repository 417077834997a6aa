# SPDX-License-Identifier: MIT
"""What the results say, in a paragraph. Every number is of the records."""
import math
from html import escape

from units import number, scale_for

NEAR = 0.01  # of the dense perplexity: "as good as dense"


def loss_of(point, results):
    """Perplexity above dense, as a share; None when it cannot be known. Dense
    means the same tokens: the point's own reference, else a dense-resident
    point that scored the same text with the same model."""
    nll, dense = point.value("nll"), point.value("nll_dense")
    if nll is None:
        return None
    if dense is None:
        same = ("model.path", "text.file", "text.split", "text.tokens", "decode.ctx")
        twins = [d.value("nll") for d in results.dense
                 if all(d.config.get(k) == point.config.get(k) for k in same)]
        dense = next((d for d in twins if d is not None), None)
    return None if dense is None else math.expm1(nll - dense)


def count(n, word):
    return f"{n} {word}" + ("" if n == 1 else "s")


def opening(results):
    reps = max(len(p.ok) + len(p.failed) for p in results.points)
    failed = sum(1 for r in results.records if r["status"] != "ok")
    models = sorted({r["model"]["name"] for r in results.records
                     if isinstance(r.get("model"), dict) and r["model"].get("name")})
    first = results.records[0]
    backends = sorted({p.config.get("device.backend", "?") for p in results.points})
    text = count(len(results.points), "point")
    if reps > 1:
        text += f" with up to {count(reps, 'repetition')}"
    text += f" ({len(results.records)} records), "
    text += "none failed" if not failed else f"<strong>{failed} failed</strong>"
    text += f". Model: {escape(', '.join(models)) or 'none was opened'}. "
    text += f"Device: {escape(', '.join(backends))}"
    cpu = first["identity"].get("cpu")
    if cpu:
        where = ", simulated on" if backends == ["sim"] else " on"
        text += f"{where} {escape(str(cpu))}, {first['identity'].get('cpus', '?')} CPUs"
    return text + "."


def trade_off(results):
    """The cheapest and the fastest of what is as good as dense."""
    losses = [(p, loss_of(p, results)) for p in results.tiered]
    known = [(p, d) for p, d in losses if d is not None]
    if not known:
        return "Accuracy against dense was not measured."
    good = [(p, d) for p, d in known if d <= NEAR]
    if not good:
        p, d = min(known, key=lambda k: k[1])
        return (f"No point stays within 1 % of the dense perplexity; the nearest is "
                f"{name(results, p)} at +{number(100 * d, 3)} %.")
    text = f"{len(good)} of {len(known)} points that score text stay within 1 % of the dense " \
           "perplexity. "
    text += cheapest(results, good) + fastest(results, good)
    return text.strip()


def name(results, point):
    return f"<strong>{escape(results.label(point))}</strong>"


def cheapest(results, good):
    read = [(p, d) for p, d in good if p.value("ffn_bytes_read") is not None]
    if not read:
        return ""
    # Equal bytes: the faster one stands for them.
    p, d = min(read, key=lambda k: (k[0].value("ffn_bytes_read"),
                                    -(k[0].value("decode_tok_s") or 0)))
    v = p.value("ffn_bytes_read")
    s = scale_for("ffn_bytes_read", "B/tok", [v])
    text = f"Of these {name(results, p)} reads the fewest FFN bytes: {number(s.of(v), 3)} " \
           f"{s.unit.split('/')[0]} a token"
    dense = [x.value("ffn_bytes_read") for x in results.dense]
    if dense and dense[0]:
        text += f", {number(dense[0] / v, 3)} times less than dense" if v else ""
    return text + f", at a perplexity {signed(d)}. "


def signed(d):
    if d == 0:
        return "equal to dense"
    return f"{'+' if d > 0 else '−'}{number(abs(100 * d), 2)} % from dense"


def fastest(results, good):
    timed = [(p, d) for p, d in good if p.value("decode_tok_s") is not None]
    if not timed:
        return ""
    p, d = max(timed, key=lambda k: k[0].value("decode_tok_s"))
    v = p.value("decode_tok_s")
    text = f"{name(results, p)} is the fastest: {number(v, 3)} tokens/s"
    dense = [x.value("decode_tok_s") for x in results.dense]
    if dense and dense[0]:
        text += f" (dense-resident: {number(dense[0], 3)})"
    return text + f", at a perplexity {signed(d)}."


def hits(results):
    had = [p for p in results.tiered if p.value("hit_ratio_hbm") is not None]
    if not had:
        return ""
    best = max(had, key=lambda p: p.value("hit_ratio_hbm"))
    text = f"The best hit ratio in HBM is {number(100 * best.value('hit_ratio_hbm'), 3)} %, " \
           f"of {name(results, best)}."
    others = [a for a in results.axes if a != "hbm.policy"]
    by = {}
    for p in had:
        by.setdefault(tuple(p.get(a) for a in others), {})[p.get("hbm.policy")] = \
            p.value("hit_ratio_hbm")
    policies = sorted({p.get("hbm.policy") for p in had})
    matched = [g for g in by.values() if len(g) == len(policies)]
    if len(policies) > 1 and matched:
        means = sorted(((sum(g[k] for g in matched) / len(matched), k) for k in policies),
                       reverse=True)
        told = ", ".join(f"{number(100 * m, 3)} % with {escape(str(k))}" for m, k in means)
        text += f" Over the {count(len(matched), 'combination')} that all policies ran, " \
                f"the mean is {told}."
    return text


def summary(results):
    parts = [opening(results)]
    if any(p.ok for p in results.points):
        parts += [trade_off(results), hits(results)]
    else:
        parts.append("There is nothing to compare.")
    return "".join(f"<p>{x}</p>" for x in (parts[0], " ".join(x for x in parts[1:] if x)))
