"""How far a simulation is beyond what its costs were measured with."""

from __future__ import annotations

from collections.abc import Iterator

from virtboost.net import law
from virtboost.net.description import Network
from virtboost.net.simulate.case import BGP, Case
from virtboost.net.simulate.cost import MACHINE

WATCHERS = 500
"""Most watchers of ``etcd-watch``."""


def extent(case: Case, network: Network) -> Iterator[str]:
    """Yield what of a simulation is extrapolated, for the default costs; counts never are."""
    if case.costs.machine != MACHINE:
        return
    forms, scale = case.design.forms, case.scale
    if case.design.routing in BGP:
        found = case.speakers()
        yield from _beyond("peers of a daemon", max(found.degrees()), law.BIRD_PEERS, "bird-mesh")
    for key, what, most, source in (
        ("openflow_rules", "rules of a node", law.RULES_MEASURED, "ovs-rules"),
        ("logical_flows", "rows of logical flows", law.NORTHD_ROWS, "ovn-northd"),
        ("watchers", "watchers of the datastore", WATCHERS, "etcd-watch"),
    ):
        if key in forms:
            yield from _beyond(what, forms[key](scale).value, most, source)
    if any(group.architecture != "x86_64" for group in network.groups()):
        yield "nodes are aarch64, costs were measured on x86_64: times and CPU are extrapolated"


def _beyond(what: str, count: float, most: int, source: str) -> Iterator[str]:
    if count > most:
        yield (
            f"{count:,.0f} {what}, measured to {most:,} ({source}): times, CPU and memory are "
            "extrapolated"
        )
