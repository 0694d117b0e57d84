"""A network's plan as one HTML page: what is built, designs compared, what they cost by size."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from virtboost.net.curve import Curves
from virtboost.net.description import Network
from virtboost.net.plan import DESIGNS, NetPlan
from virtboost.net.topology import topology
from virtboost.report.html import filled
from virtboost.report.net import COLUMNS, DETECTION_HEADS, brief, detection_row
from virtboost.report.net_chart import chart, colours, letters, panels
from virtboost.report.net_topology import draw

SHOWN = ("node_memory", "restart", "central_cpu")
"""Quantities that are drawn, beside the score."""


def plan_page(
    plan: NetPlan, network: Network, drawn: Sequence[Curves], *, made_at: datetime
) -> str:
    """Return a page on a plan of a network, with what designs cost by size."""
    lines = [each for each in drawn if any(curve.points for curve in each.curves)]
    fit = sorted((each for each in plan.candidates if each.score), key=lambda each: each.score or 0)
    chosen = plan.recommendation.design if plan.recommendation else ""
    built = topology(DESIGNS[chosen], network) if chosen else None
    return filled(
        "net.html",
        made_at,
        plan=plan,
        chosen=chosen,
        built=built,
        picture=None if built is None else draw(built),
        charts=[chart(each, plan, chosen) for each in lines],
        panels=[
            panel for each in lines if each.quantity == SHOWN[0] for panel in panels(each, plan)
        ],
        heads=[head for head, _ in COLUMNS.values()],
        rows=[
            (each, [brief(each.quantities.get(key), by) for key, (_, by) in COLUMNS.items()])
            for each in fit
        ],
        failures=[*map(detection_row, plan.detections)],
        failure_heads=DETECTION_HEADS[1:],
        drawn={curve.design for each in lines for curve in each.curves if curve.points},
        letters=letters(plan),
        colours=colours(plan),
    )
