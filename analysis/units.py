# SPDX-License-Identifier: MIT
"""Numbers and units as people read them. Records keep SI units and bytes."""
import math

BINARY = [("B", 1.0), ("KiB", 2.0**10), ("MiB", 2.0**20), ("GiB", 2.0**30)]
SECONDS = [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)]
JOULES = [("µJ", 1e-6), ("mJ", 1e-3), ("J", 1.0)]
GRAMS = [("µgCO2", 1e-6), ("mgCO2", 1e-3), ("gCO2", 1.0)]
LADDERS = {"B": BINARY, "s": SECONDS, "J": JOULES, "gCO2": GRAMS}
# Shares, which read best in percent.
SHARES = {"hit_ratio_hbm", "hit_ratio_dram", "active_fraction", "active_true", "overlap", "class_kept",
          "density", "concentration_80", "never_active",
          "top1_agree", "selector_recall", "selector_recall_true_k", "selector_mass",
          "page_cache", "task_acc", "task_acc_err", "task_acc_norm", "task_acc_norm_err"}


class Scale:
    """Divides by `by` and says `unit`."""

    def __init__(self, unit, by):
        self.unit, self.by = unit, by

    def of(self, value):
        return value / self.by


def scale_for(name, unit, values):
    """One scale for all values of a figure, so that they can be compared."""
    if unit == "" and name.split(".")[0] in SHARES:
        return Scale("%", 0.01)
    base, _, rest = unit.partition("/")
    most = max((abs(v) for v in values), default=0)
    ladder = LADDERS.get(base)
    if not ladder or most == 0:
        return Scale(unit, 1.0)
    word, by = next(((w, b) for w, b in reversed(ladder) if most >= b), ladder[0])
    return Scale(word + ("/" + rest if rest else ""), by)


def number(value, digits=4):
    """Plain where that is readable; never more digits than `digits` that mean
    something, and never a zero for what is not zero."""
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 6 or size < -3:
        return f"{value:.{max(digits - 2, 1)}e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.{max(digits - 1 - size, 0)}f}"


def spread(mean, half, n, digits=4):
    """mean ± half the range, where there are repetitions."""
    if n < 2:
        return number(mean, digits)
    return f"{number(mean, digits)} ± {number(half, 2)}"
