"""A traversal as one HTML page: each step in a chain, and the entry that it becomes beside it."""

from __future__ import annotations

from datetime import datetime

from virtboost.flow.explain import Explanation
from virtboost.report.html import filled


def explanation_page(found: Explanation, *, made_at: datetime) -> str:
    """Return a page on a packet's way and its answer's."""
    both = (("The packet", found.forward), ("Its answer", found.reverse))
    return filled(
        "flow.html",
        made_at,
        found=found,
        directions=[(name, entry) for name, entry in both if entry is not None],
    )
