"""A network planned: every design sized, one recommended, what would change that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct, structs

from virtboost.errors import InputError
from virtboost.model.wording import listed
from virtboost.net import calico, failure, migration, ovs
from virtboost.net.candidate import Candidate, candidate
from virtboost.net.compare import Score, Span, rivals, scores, spans, winner
from virtboost.net.description import Network
from virtboost.net.design import Design
from virtboost.net.failure import Detection
from virtboost.net.law import PAGE, Laws
from virtboost.net.migration import Step
from virtboost.net.quantity import METRICS, QUANTITIES
from virtboost.net.scale import Scale, scale_of
from virtboost.net.source import SOURCES

DESIGNS: dict[str, Design] = {each.name: each for each in (*calico.DESIGNS, *ovs.DESIGNS)}
"""By name, the simpler first."""


class Recommendation(Struct, frozen=True, kw_only=True):
    """What to build."""

    design: str
    reasons: tuple[str, ...]
    rivals: tuple[str, ...]
    """Designs that may be better, within what is known."""


class NetPlan(Struct, frozen=True, kw_only=True):
    """Designs of a container network, compared."""

    schema: Literal["virtboost.net-plan/1"] = "virtboost.net-plan/1"
    nodes: int
    pods: int
    recommendation: Recommendation | None
    """None: no design serves this network."""
    candidates: tuple[Candidate, ...]
    spans: tuple[Span, ...]
    """Which design is the one to take from which size to which."""
    detections: tuple[Detection, ...]
    """Ways to notice a failure, for the recommended design; empty: it has no BGP."""
    migration: tuple[Step, ...]
    """From what runs now to what is recommended."""
    notes: tuple[str, ...]
    sources: dict[str, str]
    """Behind the keys that figures carry."""
    machine: str | None = None
    """Whose calibration takes the place of laws; None: no machine's."""


def plan(network: Network, chosen: str | None = None, laws: Laws = PAGE) -> NetPlan:
    """Plan a network.

    Args:
        network: What is wanted.
        chosen: A design to detail instead of the recommended one.
        laws: What daemons cost.

    Raises:
        InputError: ``chosen``, or what runs now, is no design, or cannot be here.
    """
    scale = scale_of(network, laws)
    found = [candidate(each, network, scale) for each in DESIGNS.values()]
    judged = scores(
        {each.name: each.quantities for each in found if not each.excluded}, network.weights
    )
    candidates = tuple(_scored(each, judged) for each in found)
    name = _choice(candidates, chosen) or winner(judged)
    now = None if network.running is None else _known(network.running, "running: ")
    made = None if name is None else DESIGNS[name]
    return NetPlan(
        nodes=scale.nodes,
        pods=scale.pods,
        recommendation=None if name is None else _recommendation(name, candidates, judged),
        candidates=candidates,
        spans=spans(tuple(DESIGNS.values()), network, scale),
        detections=() if made is None else failure.detections(made, network, scale),
        migration=() if made is None or now is None else migration.steps(now, made),
        notes=tuple(_notes(network, scale)),
        sources=SOURCES if laws.machine is None else SOURCES | {"calibration": laws.machine},
        machine=laws.machine,
    )


def _known(name: str, key: str = "") -> Design:
    if name not in DESIGNS:
        raise InputError(f"{key}{name}: no such design; there are {', '.join(DESIGNS)}")
    return DESIGNS[name]


def _choice(candidates: tuple[Candidate, ...], chosen: str | None) -> str | None:
    if chosen is None:
        return None
    _known(chosen)
    found = next(each for each in candidates if each.name == chosen)
    if found.excluded:
        raise InputError(f"{chosen}: cannot be here: {found.excluded[0]}")
    return chosen


def _scored(found: Candidate, judged: Mapping[str, Score]) -> Candidate:
    if found.name not in judged:
        return found
    score = judged[found.name]
    return structs.replace(found, score=score.value, front=score.front)


def _recommendation(
    name: str, candidates: tuple[Candidate, ...], judged: Mapping[str, Score]
) -> Recommendation:
    found = next(each for each in candidates if each.name == name)
    return Recommendation(
        design=name,
        reasons=tuple(_reasons(found, candidates)),
        rivals=rivals(judged, name),
    )


def _reasons(found: Candidate, candidates: tuple[Candidate, ...]) -> Iterator[str]:
    fit = [each for each in candidates if not each.excluded]
    yield f"{len(candidates) - len(fit)} of {len(candidates)} designs are ruled out"
    best = [QUANTITIES[METRICS[key].quantity].title for key in _leads(found, fit)]
    if best and len(fit) > 1:
        yield f"of the other {len(fit)} it is the best, or as good, in: {listed(best, len(best))}"
    end = found.bottleneck
    if end.headroom_ratio is not None:
        yield f"its first bottleneck is at {end.nodes:,} nodes: {end.what}"


def _leads(found: Candidate, fit: list[Candidate]) -> Iterator[str]:
    """Yield the metrics in which a design is within what nobody minds of the best."""
    for key, metric in METRICS.items():
        known = {
            each.name: each.quantities[metric.quantity].value
            for each in fit
            if metric.quantity in each.quantities
            and each.quantities[metric.quantity].high is not None
        }
        if found.name not in known:
            continue
        best = (max if metric.higher else min)(known.values())
        if abs(known[found.name] - best) <= metric.negligible:
            yield key


def _notes(network: Network, scale: Scale) -> Iterator[str]:
    if scale.laws.machine is not None:
        yield f"what daemons cost is as net validate measured it: {scale.laws.machine}"
    for what, count, most in (
        ("nodes", scale.nodes, 5_000),
        ("pods", scale.pods, 150_000),
        ("pods on a node", scale.pods_per_node, 110),
        ("services", scale.services, 10_000),
        ("endpoints of a service", scale.endpoints, 250),
    ):
        if count > most:
            yield f"{count:,} {what}: Kubernetes is tested to {most:,} (kubernetes)"
    foreign = sum(group.count for group in network.groups() if group.architecture != "x86_64")
    if foreign:
        yield (
            f"{foreign:,} nodes are aarch64; times and memory were measured on x86_64, and are "
            "extrapolated for them"
        )
    if "ipv6" in network.wants:
        yield (
            "figures are of IPv4: with IPv6 beside it there are as many sessions, paths and routes "
            "again, and Calico runs a second BIRD"
        )
    if "ipv6" in network.wants and network.addresses.ipv6 is None:
        yield "addresses of IPv6 are not planned: addresses.ipv6 is not there"
    if len({group.mtu for group in network.groups()}) > 1:
        yield f"nodes differ in MTU; {network.mtu} is what every path carries"
