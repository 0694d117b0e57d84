"""What network policies cost in sets of addresses, in any design that has them."""

from __future__ import annotations

from virtboost.net.design import Form
from virtboost.net.figure import Figure
from virtboost.net.scale import Scale


def set_members(scale: Scale) -> Figure:
    """Return the addresses in a node's sets: of every selector that a pod there needs.

    How many these are depends on where pods run: from none to all of them.
    """
    most = float(scale.selectors * scale.selected)
    return Figure(value=most, low=0, high=most, tag="exact")


def set_updates(scale: Scale) -> Figure:
    """Return the updates each second: a pod comes or goes, in each of its sets, on every node."""
    sets_of_a_pod = scale.selectors * scale.selected / scale.pods
    most = 2 * scale.pods_per_s * sets_of_a_pod * scale.nodes
    return Figure(value=most, low=0, high=most, tag="exact")


POLICIES: dict[str, Form] = {"set_members": set_members, "set_updates": set_updates}
