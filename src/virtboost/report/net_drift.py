"""A cluster held against its plan, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from virtboost.net.drift import Drift
from virtboost.report.columns import wrapped


def drift_lines(found: Drift, width: int) -> Iterator[str]:
    """Yield what is not as planned, in ``width`` columns."""
    differences = found.differences
    count = f"{len(differences)} difference{'' if len(differences) == 1 else 's'}"
    yield from wrapped(f"{found.nodes:,} nodes against {found.design}: {count}", width)
    for each in differences:
        what = f"{each.object}: {each.what}" if each.what else each.object
        text = f"{what}: {each.found}, planned: {each.planned}"
        yield from wrapped(text, width, indent=2, hang=2)
