"""A traversal as one HTML page: each step in a chain, and the entry that it becomes beside it."""

from __future__ import annotations

from datetime import datetime

from markupsafe import Markup

from virtboost import __version__
from virtboost.flow.explain import Explanation
from virtboost.report.html import environment, source


def explanation_page(found: Explanation, *, made_at: datetime) -> str:
    """Return a page on a packet's way and its answer's."""
    both = (("The packet", found.forward), ("Its answer", found.reverse))
    return (
        environment()
        .get_template("flow.html")
        .render(
            found=found,
            directions=[(name, entry) for name, entry in both if entry is not None],
            style=Markup(source("style.css")),  # the product's own file
            made_at=made_at.strftime("%Y-%m-%d %H:%M %Z"),
            version=__version__,
        )
    )
