"""Plots for a page: SVG in the page's own colours and fonts."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

INK, SOFT, LINE, FIRST, SECOND = (f"#0{each}0{each}0{each}" for each in "12345")
"""Colours to draw with; in the page they are those of its style."""

_OF_PAGE = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    FIRST: "var(--used)",
    SECOND: "var(--pages)",
}

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "virtboost",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.formatter.useoffset": False,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of a page meanwhile."""
    with mpl.rc_context(_STYLE):
        yield


def svg(figure: Figure, title: str) -> Markup:
    """Return a figure as an element of a page; ``title`` says what it shows."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Title": title})
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    for drawn, shown in _OF_PAGE.items():
        text = text.replace(drawn, shown)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 inherit; font-family: inherit", text)
    return Markup(text)  # matplotlib escapes what it draws
