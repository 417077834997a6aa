# SPDX-License-Identifier: MIT
"""How a plot is drawn: colours, shapes, and matplotlib's SVG made fit to stand
inside a page. What is plotted is not known here."""
import io
import re
from html import escape

import matplotlib
from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart; shapes and
# dashes say the same once more.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5C00"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
DASHES = ["-", "--", "-.", ":"]
GREY = "#555555"
HATCHES = ["", "///", "", "---", "xxx"]
MOST_LETTERS = 36
STYLE = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 8.5,
         "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#888888",
         "axes.linewidth": 0.7, "axes.labelcolor": "#222222", "text.color": "#222222",
         "xtick.color": "#444444", "ytick.color": "#444444", "axes.grid": True,
         "grid.color": "#e4e4e4", "grid.linewidth": 0.6, "axes.axisbelow": True,
         "lines.markersize": 5.5, "lines.linewidth": 1.4, "axes.titlesize": 9,
         "axes.titlelocation": "left", "hatch.linewidth": 0.6, "hatch.color": "white",
         "text.parse_math": False}


def svg_of(fig, name, alt):
    """The SVG element alone: nothing to load, ids that no other plot has."""
    out = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "m2c " + name}):
        fig.savefig(out, format="svg", metadata=nothing)
    text = re.sub(r"^.*?(?=<svg)", "", out.getvalue(), flags=re.S)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'(\bid="|url\(#|href="#)', r"\g<1>" + name + "-", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r"(font:[^;\"]*?px )[^;\"]*", r"\g<1>system-ui, sans-serif", text)
    text = re.sub(r'(<svg [^>]*?)width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1).strip()


def draw(name, alt, size, paint):
    """One SVG: paint(axes) draws it."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "m2c " + name}):
        fig = Figure(figsize=size, layout="constrained")
        paint(fig.add_subplot())
        return svg_of(fig, name, alt)


def cut(text, most=MOST_LETTERS):
    """A label that leaves room for what it labels; the table has it whole."""
    return text if len(text) <= most else text[:most - 1] + "…"


def plain(axis):
    """Ticks such as 0.002, never an offset in a corner."""
    for a in (axis.xaxis, axis.yaxis):
        a.get_major_formatter().set_useOffset(False)
