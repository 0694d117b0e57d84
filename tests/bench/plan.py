"""Where the planner puts guests, beside first-fit, best-fit, VMAgent's way and real Nova."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from msgspec.structs import replace

from bench.measure import Row, seconds, table, timed
from support import environments
from support import nova_peer as nova
from support.captures import KUNPENG
from support.fleet_bound import least_beyond_any_mix
from support.fleet_peers import BestFit, FirstFit, VmAgent, placed_by
from support.fleets import judged, requests, servers
from virtboost.model.cpuset import CpuSet
from virtboost.model.document import to_builtins
from virtboost.model.fleet_plan import (
    FleetAssignment,
    FleetPlan,
    FleetRefusal,
    FleetRequest,
    FleetServer,
    Objective,
    ServerNode,
)
from virtboost.model.host import Host
from virtboost.model.userfile import from_yaml
from virtboost.model.workload import Workload
from virtboost.plan.fleet import Fleet, flavor_of
from virtboost.plan.fleet_batch import place_batch, place_one_by_one, plan_of
from virtboost.plan.fleet_moves import UNUSABLE
from virtboost.plan.plan import plan_host
from virtboost.scan.host import scan
from virtboost.transport.recorded import RecordedReader

TITLE = "Placement"

SEQUENCES = ("c1", "c2", "c3")

LISTS = {1: "all", 2: "half", 4: "a quarter"}
"""Every how manieth server there is."""

DECISIONS = 400
"""Requests whose decision is timed, in the middle of a sequence."""

LONGEST_S = 60
"""How long Nova may look for a place."""

LARGE = 10
"""How many times the list of servers is taken for the large fleet."""


def versions() -> Sequence[str]:
    """Return the versions of the peers."""
    names = ("nova", "openstack-placement")
    text = f"import importlib.metadata as m; print(*(m.version(n) for n in {names!r}))"
    with os.popen(f'{environments.nova()} -c "{text}"') as told:
        return tuple(" ".join(pair) for pair in zip(names, told.read().split(), strict=True))


def run() -> str:
    """Return the result as Markdown."""
    with tempfile.TemporaryDirectory(prefix="virtboost-") as folder:
        parts = (
            "A batch and one by one are ours, for the objective of few servers or of little that is "
            "stranded. Stranded is free on nodes of used servers where no size "
            "of the sequence fits any more. Beyond any mix is what stays idle on used servers "
            "whatever mix of these sizes comes next: pCPUs over, if all wanted the least memory "
            "for each, 2 GiB; memory over, if all wanted the most, 4 GiB. Who leaves many servers "
            "half full strands little of them as yet, and beyond any mix the most. Each way has the "
            "same filters, Nova its own; of the rules Nova knows anti-affinity only.",
            _fleets(),
            table([*_bounds(), *_times(), *_searches()]),
            "One host: the Kunpeng 920 capture (4 nodes of 32 cores in clusters of 4, 4 of each "
            "node kept for the host), five random lists of guests of 2 to 32 vCPUs.",
            _one_host(Path(folder)),
        )
    return "\n\n".join(parts)


def _nova(fleet: Sequence[FleetServer], asked: Sequence[FleetRequest]) -> FleetPlan:
    """Place by Nova's fit, and hold its answer in our arrays, to count alike."""
    placed, _ = nova.fit(*_for_nova(fleet, asked))
    state = Fleet(fleet)
    made: list[FleetAssignment | FleetRefusal] = []
    for each, place in zip(asked, placed, strict=True):
        if place is None:
            made.append(FleetRefusal(request=each.name, reason="", filters=()))
        else:
            made.append(state._put(each, flavor_of(each), place[0], tuple(place[1])))
    return plan_of(state, asked, made)


WAYS: dict[str, Callable[..., FleetPlan]] = {
    "batch": place_batch,
    "batch, for stranded": partial(place_batch, objective=Objective.STRANDED),
    "one by one": place_one_by_one,
    "one by one, for stranded": partial(place_one_by_one, objective=Objective.STRANDED),
    "first-fit": placed_by(FirstFit),
    "best-fit": placed_by(BestFit),
    "VMAgent's best-fit": placed_by(VmAgent),
    "Nova's fit": _nova,
}
"""The first four are ours."""


def _fleets() -> str:
    head = (
        "sequence, servers, way",
        *("servers used", "requests refused", "vCPUs placed", "memory placed", "rules broken"),
        *("pCPUs stranded", "GiB stranded", "pCPUs beyond any mix", "GiB beyond any mix"),
    )
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for name in SEQUENCES:
        for every, which in LISTS.items():
            for way, place in WAYS.items():
                cells = _outcome(place(servers(every), requests(name)), name, every)
                lines.append(f"| {name}, {which}, {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _outcome(made: FleetPlan, name: str, every: int) -> Sequence[str]:
    wrong = judged(to_builtins(made), name, every)
    if unfit := wrong.keys() - {"anti-affinity", "fault_domain"}:
        raise AssertionError(f"{name}: {unfit}")
    placed = {each.request for each in made.assignments}
    asked = requests(name)
    inside = [each for each in asked if each.name in placed]
    vcpus = sum(each.vcpus for each in inside) / sum(each.vcpus for each in asked)
    memory = sum(r.memory_bytes for r in inside) / sum(r.memory_bytes for r in asked)
    totals = made.totals
    counts = (
        *(totals.stranded_cpus, totals.stranded_memory_bytes >> 30),
        *_beyond_any_mix(made, servers(every), asked),
    )
    return (
        *(f"{totals.servers_used:,}", f"{totals.refused:,}", f"{vcpus:.1%}", f"{memory:.1%}"),
        *(str(wrong.total()), *(f"{count:,}" for count in counts)),
    )


def _beyond_any_mix(
    made: FleetPlan, fleet: Sequence[FleetServer], asked: Sequence[FleetRequest]
) -> tuple[int, int]:
    """Return pCPUs and GiB of used servers that stay idle whatever mix of requests comes next."""
    ratios = [each.memory_bytes / each.vcpus for each in asked]
    least, most = min(ratios), max(ratios)
    used = {each.server for each in made.assignments}
    free = {(s.name, n.id): [n.cpus, n.memory_bytes] for s in fleet for n in s.nodes}
    for each in made.assignments:
        for cell in each.cells:
            free[each.server, cell.node][0] -= cell.vcpus
            free[each.server, cell.node][1] -= cell.memory_bytes
    left = [room for (server, _), room in free.items() if server in used]
    cpus = sum(max(cpus - memory / least, 0) for cpus, memory in left)
    memory = sum(max(memory - cpus * most, 0) for cpus, memory in left)
    return round(cpus), round(memory) >> 30


def _bounds() -> Iterator[Row]:
    """Yield what our batch leaves to no use, beside what any placement on as many servers must."""
    for name in SEQUENCES:
        asked = requests(name)
        made = place_batch(servers(), asked)
        cpus, memory_gib = _beyond_any_mix(made, servers(), asked)
        yield Row(
            what=f"{name} as a batch, beyond any mix, 3 GiB as a pCPU",
            unit="pCPUs",
            ours=(cpus + memory_gib / 3,),
            peer="no placement on as many servers has less than",
            peers=(least_beyond_any_mix(servers(), asked, made.totals.servers_used),),
        )


def _times() -> Iterator[Row]:
    for factor, goal in ((1, "under 2 ms"), (LARGE, "under 20 ms")):
        fleet = [
            replace(server, name=f"{server.name}-{number}")
            for number in range(factor)
            for server in servers()
        ]
        for kind, which in ((Fleet, ""), (partial(Fleet, unusable=UNUSABLE), ", for stranded")):
            yield Row(
                what=f"a decision among {len(fleet):,} servers{which}",
                unit="ms",
                ours=tuple(1e3 * each for each in _decisions(kind, fleet)),
                peer="first-fit on the same arrays",
                peers=tuple(1e3 * each for each in _decisions(FirstFit, fleet)),
                goal=goal,
            )
    for name in SEQUENCES:
        asked = requests(name)
        yield Row(
            what=f"{name} as a batch, {len(asked):,} requests",
            unit="s",
            ours=(seconds(partial(place_batch, servers(), asked)),),
            peer="Nova's fit, one by one",
            peers=(nova.fit(*_for_nova(servers(), asked))[1],),
            goal="under 60 s",
        )


def _searches() -> Iterator[Row]:
    """Yield how long it takes to find that a guest of many cells fits nowhere on a host."""
    for nodes, cells in ((8, 4), (12, 6), (16, 8)):
        free = [8] * (cells - 1) + [7] * (nodes - cells + 1)
        server = FleetServer(
            name="host",
            nodes=tuple(
                ServerNode(id=number, cpus=cpus, memory_bytes=64 << 30)
                for number, cpus in enumerate(free)
            ),
        )
        asked = FleetRequest(name="guest", vcpus=8 * cells, memory_bytes=cells << 30, cells=cells)
        refused = seconds(partial(Fleet([server]).place, asked))
        try:
            peer, theirs = "Nova's fit", nova.fit(*_for_nova([server], [asked]), LONGEST_S)[1]
        except subprocess.TimeoutExpired:
            peer, theirs = "Nova's fit, stopped", float(LONGEST_S)
        yield Row(
            what=f"that {cells} cells do not fit on {nodes} nodes",
            unit="ms",
            ours=(1e3 * refused,),
            peer=peer,
            peers=(1e3 * theirs,),
        )


def _for_nova(
    fleet: Sequence[FleetServer], asked: Sequence[FleetRequest]
) -> tuple[list[Any], list[Any]]:
    sizes = [[(node.cpus, node.memory_bytes >> 20) for node in each.nodes] for each in fleet]
    wanted = [(r.vcpus, r.memory_bytes >> 20, r.cells, r.strategy, r.group) for r in asked]
    return sizes, wanted


def _decisions(kind: Callable[..., Fleet], fleet: Sequence[FleetServer]) -> list[float]:
    asked = requests("c1")
    state = kind(fleet)
    middle = len(asked) // 2
    for each in asked[:middle]:
        state.place(each)
    timed_ones = asked[middle : middle + DECISIONS]
    return [seconds(partial(state.place, each)) for each in timed_ones]


class Guest(NamedTuple):
    """One guest of a list."""

    vcpus: int
    cells: int

    @property
    def memory_mib(self) -> int:
        """A GiB for each vCPU: memory is not what is short."""
        return 1024 * self.vcpus


class Tally(NamedTuple):
    """What a way did with the lists."""

    placed: Counter[str]
    times_s: list[float]


NODES, CORES, CLUSTER, KEPT = 4, 32, 4, 4

SIZES = (
    Guest(2, 1),
    Guest(4, 1),
    Guest(4, 1),
    Guest(8, 1),
    Guest(16, 1),
    Guest(16, 2),
    Guest(32, 2),
)


def _lists() -> Iterator[list[Guest]]:
    chance = random.Random(920)
    for _ in range(5):
        found: list[Guest] = []
        while sum(guest.vcpus for guest in found) < NODES * (CORES - KEPT):
            found.append(chance.choice(SIZES))
        yield found


def _one_host(folder: Path) -> str:
    host = scan(RecordedReader(KUNPENG))
    ours, theirs = Tally(Counter(), []), Tally(Counter(), [])
    dedicated = ",".join(f"{n * CORES + KEPT}-{n * CORES + CORES - 1}" for n in range(NODES))
    shared = ",".join(f"{n * CORES}-{n * CORES + KEPT - 1}" for n in range(NODES))
    told = {
        "hosts": [
            {
                "name": "kp1",
                "arch": "aarch64",
                "sockets": 2,
                "nodes_per_socket": NODES // 2,
                "cores": CORES,
                "mem_kib": NODES * 64 << 20,
                "cpu_model": "Kunpeng-920",
                "cpu_vendor": "HiSilicon",
                "conf": {
                    "compute": {"cpu_dedicated_set": dedicated, "cpu_shared_set": shared},
                    "libvirt": {"virt_type": "kvm", "cpu_mode": "host-passthrough"},
                },
            }
        ],
        "images": [{"name": "arm", "properties": {"hw_architecture": "aarch64"}}],
    }
    with nova.serving(told, folder) as peer:
        flavors = {
            guest: peer.flavor(
                f"v{guest.vcpus}n{guest.cells}",
                guest.vcpus,
                guest.memory_mib,
                {"hw:cpu_policy": "dedicated", "hw:numa_nodes": str(guest.cells)},
            )
            for guest in set(SIZES)
        }
        for guests in _lists():
            _ours(host, guests, ours)
            _theirs(host, peer, flavors, guests, theirs)
    return table(list(_compared(ours, theirs)))


def _ours(host: Host, guests: Sequence[Guest], tally: Tally) -> None:
    """Place guests one by one, each beside those before it, which keep their pCPUs."""
    pinned: list[dict[str, Any]] = []
    for number, guest in enumerate(guests):
        entry: dict[str, Any] = {
            "name": f"g{number}",
            "vcpus": guest.vcpus,
            "memory": f"{guest.memory_mib}MiB",
            "cells": guest.cells,
        }
        asked = {"host": {"cpus": KEPT}, "guests": [*pinned, entry]}
        workload = from_yaml(yaml.safe_dump(asked), Workload, "bench")
        time_s, plan = timed(partial(plan_host, host, workload, limit_s=0))
        tally.times_s.append(time_s)
        placed = {placement.name: placement for placement in plan.guests}.get(entry["name"])
        if placed is None:
            continue
        pins = {vcpu.vcpu: vcpu.pcpus.first for vcpu in placed.vcpus}
        pinned.append({**entry, "pins": pins})
        nodes = {cell.node_id: list(map(int, cell.vcpus)) for cell in placed.cells}
        cells = [CpuSet(pins[v] for v in vcpus) for vcpus in nodes.values()]
        _count(host, guest, list(nodes), cells, tally)


def _theirs(
    host: Host, peer: nova.Nova, flavors: dict[Guest, str], guests: Sequence[Guest], tally: Tally
) -> None:
    ids = []
    for number, guest in enumerate(guests):
        time_s, booted = timed(partial(peer.boot, f"g{number}", "arm", flavors[guest]))
        tally.times_s.append(time_s)
        server, status = booted
        ids.append(server)
        if status == "ACTIVE":
            told = peer.nodes(server)
            cells = [CpuSet(cell["cpu_pinning"].values()) for cell in told]
            _count(host, guest, [cell["host_node"] for cell in told], cells, tally)
    for server in ids:
        peer.delete(server)


def _count(
    host: Host, guest: Guest, node_ids: Sequence[int], cells: Sequence[CpuSet], tally: Tally
) -> None:
    """Count a guest that was placed: what it has of the host, from pins and the capture alone."""
    nodes = {node.id: node for node in host.topology.numa_nodes}
    clusters = sum(len(host.topology.clusters_of(cpus)) for cpus in cells)
    fewest = guest.cells * -(-guest.vcpus // guest.cells // CLUSTER)
    apart = [nodes[a].distances[b] for a in node_ids for b in node_ids]
    outside = sum(
        not cpus <= nodes[node_id].cpus for node_id, cpus in zip(node_ids, cells, strict=True)
    )
    tally.placed.update(
        {
            "guests": 1,
            "vcpus": guest.vcpus,
            "outside": outside,
            "clusters": clusters - fewest,
            "torn": clusters > fewest,
            "memory": guest.vcpus,
            "distance": round(guest.vcpus * statistics.mean(apart)),
        }
    )


def _compared(ours: Tally, theirs: Tally) -> Iterator[Row]:
    asked = len(ours.times_s)
    rows = {
        f"guests placed, of {asked}": ("guests", "guests"),
        "vCPUs placed": ("vcpus", "vCPUs"),
        "cells with a vCPU on another node": ("outside", "cells"),
        "guests on more clusters than they need": ("torn", "guests"),
        "clusters more than are needed": ("clusters", "clusters"),
    }
    for what, (key, unit) in rows.items():
        yield Row(
            what=what,
            unit=unit,
            ours=(float(ours.placed[key]),),
            peer="Nova",
            peers=(float(theirs.placed[key]),),
        )
    yield Row(
        what="mean SLIT distance between a guest's cells, weighted by memory",
        unit="",
        ours=(ours.placed["distance"] / ours.placed["memory"],),
        peer="Nova",
        peers=(theirs.placed["distance"] / theirs.placed["memory"],),
    )
    yield Row(
        what="time for a guest",
        unit="ms",
        ours=tuple(1e3 * each for each in ours.times_s),
        peer="Nova, from its API to ACTIVE",
        peers=tuple(1e3 * each for each in theirs.times_s),
    )
