"""Density reports against what a person counts on a host of four nodes, 32 cores each."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from support.cases import patched_host
from support.placements import hosts, workloads
from virtboost.errors import InputError
from virtboost.model.cpuset import CpuSet
from virtboost.model.density import Density, HostDensity
from virtboost.model.host import Host
from virtboost.model.workload import Workload
from virtboost.plan.density_fleet import density
from virtboost.plan.plan import plan_host
from virtboost.plan.planned import planned_host
from virtboost.plan.supply import roams
from virtboost.report.density import density_lines

GIB = 1 << 30


def guest(name: str, pcpus: str, node_ids: list[int], **more: Any) -> dict[str, Any]:
    """Return a guest with a vCPU on each of some pCPUs, and a GiB of memory for each."""
    cpus = list(CpuSet.parse(pcpus))
    return {
        "name": name,
        "vcpu_count": len(cpus),
        "max_vcpu_count": len(cpus),
        "vcpu_pins": {str(vcpu): str(cpu) for vcpu, cpu in enumerate(cpus)},
        "memory_bytes": len(cpus) * GIB,
        "node_ids": node_ids,
        **more,
    }


def running(*guests: dict[str, Any]) -> Host:
    """Return a host with nodes 0-3, 4-7, 8-11, 12-15 of 64 GiB that runs some guests."""
    return patched_host({"guests": list(guests)})


def report(host: Host) -> HostDensity:
    (found,) = density([("host", host)]).hosts
    return found


def test_counts_of_each_node() -> None:
    """Of node 1, 2 of 4 CPUs and 2 of 64 GiB are a guest's; one core of 2 is not kept back."""
    node = report(running(guest("a", "4-5", [1]))).nodes[1]
    assert (node.id, node.cpus, node.used_cpus, node.free_cpus) == (1, 4, 2, 2)
    assert node.memory_bytes == 64 * GIB
    assert node.used_bytes == 2 * GIB
    assert (node.stranded_cpus, node.stranded_bytes, str(node.sibling_cpus)) == (0, 0, "")


def test_a_node_without_room_for_any_size_is_stranded() -> None:
    """Node 1 has 1 CPU left, and guests of 3 run: its CPU and all its memory serve nobody."""
    found = report(running(guest("a", "5-7", [1]), guest("b", "9-11", [2])))
    node = found.nodes[1]
    assert (node.free_cpus, node.stranded_cpus) == (1, 1)
    assert node.stranded_bytes == node.free_bytes > 0
    assert found.nodes[3].stranded_cpus == 0


def test_nothing_is_stranded_where_nothing_runs() -> None:
    found = report(running())
    assert [node.stranded_cpus for node in found.nodes] == [0, 0, 0, 0]
    assert (found.rooms, found.moves, found.straddling) == ((), (), ())


def test_a_guest_that_straddles_moves_alone() -> None:
    found = report(running(guest("torn", "6,13", [1]), guest("stays", "8-9", [2])))
    assert [(each.name, each.node_ids) for each in found.straddling] == [("torn", (1, 3))]
    (move,) = found.moves
    assert (move.name, move.node_ids, len(move.to_node_ids), move.live) == ("torn", (1, 3), 1, True)
    assert "nodes 1, 3" in move.reason
    assert "one node has room" in move.reason


def test_memory_on_another_node_straddles() -> None:
    found = report(running(guest("far", "5-6", [2])))
    assert [each.node_ids for each in found.straddling] == [(1, 2)]


@pytest.mark.parametrize(
    "more",
    [
        {"cells": [{"id": n, "vcpus": str(n), "memory_bytes": GIB} for n in range(2)]},
        {"memory_bytes": 100 * GIB},
    ],
    ids=["sees two nodes", "no node is large enough"],
)
def test_a_guest_with_a_reason_does_not_straddle(more: dict[str, Any]) -> None:
    assert report(running(guest("wide", "6,13", [1, 3], **more))).straddling == ()


def test_a_guest_with_a_device_must_stop_to_move() -> None:
    host = running(guest("torn", "6,13", [1], pci_addresses=["0000:81:00.1"]))
    (move,) = report(host).moves
    assert not move.live
    assert "0000:81:00.1" in (move.hindrance or "")


def test_two_that_are_in_each_others_way_say_so() -> None:
    """Every other CPU is taken: each of the two that straddle goes where the other is."""
    host = running(
        guest("one", "6,14", [1]),
        guest("two", "7,15", [3]),
        guest("low", "0-3", [0]),
        guest("mid", "4-5", [1]),
        guest("high", "8-11", [2]),
        guest("end", "12-13", [3]),
    )
    moves = report(host).moves
    assert {move.name for move in moves} == {"one", "two"}
    assert sorted(str(move.to_pcpus) for move in moves) == ["14-15", "6-7"]
    assert (moves[0].hindrance or "").startswith("at one time with")
    assert moves[1].hindrance is None


def test_one_move_makes_room_for_a_large_guest() -> None:
    """A guest of 3 vCPUs runs on node 3; nodes 1 and 2 have a small guest each: none fits.

    Of a free node of 4 cores one is kept back, so a size of 3 is the largest that may come.
    """
    host = running(
        guest("small-1", "4-5", [1]), guest("small-2", "8-9", [2]), guest("big", "13-15", [3])
    )
    host = filled(host, "0-2")
    found = report(host)
    big = found.rooms[0]
    assert (big.vcpus, big.now, big.moved) == (3, 0, 1)
    assert len(found.moves) == 1
    assert found.moves[0].name in ("small-1", "small-2")
    assert "1 and not 0 more guests of 3 vCPUs" in found.moves[0].reason


def filled(host: Host, cpus: str) -> Host:
    """Return a host whose CPUs of one node are a container's."""
    more = patched_host({"containers": [{"name": "fills", "cpuset": cpus, "node_ids": [0]}]})
    return replace(host, containers=more.containers)


def fewest_to_mend(places: list[tuple[int, ...]]) -> int:
    """Return, by trying all, the fewest guests of 2 vCPUs that move so that none straddles.

    Args:
        places: Nodes of each guest's vCPUs; every node holds at most 4 vCPUs.
    """
    wanted = [(node, node) for node in range(4)]
    best = len(places) + 1
    for ends in itertools.product([*wanted, None], repeat=len(places)):
        after = [place if end is None else end for place, end in zip(places, ends, strict=True)]
        full = any(sum(place.count(node) for place in after) > 4 for node in range(4))
        if not full and all(len(set(place)) == 1 for place in after):
            best = min(best, sum(end is not None for end in ends))
    return best


def test_no_list_is_longer_than_it_must_be() -> None:
    """Two guests straddle nodes 2 and 3; nodes 0 and 1 are full of others."""
    names = ["t1", "t2", "a", "b", "c", "d", "e"]
    pcpus = ["10,14", "11,15", "0-1", "2-3", "4-5", "6-7", "8-9"]
    nodes = [[2, 3], [2, 3], [0], [0], [1], [1], [2]]
    host = running(*map(guest, names, pcpus, nodes))
    found = report(host)
    places = [tuple(cpu // 4 for cpu in CpuSet.parse(each)) for each in pcpus]
    assert len(found.moves) == fewest_to_mend(places) == 2


def fleet(*hosts: Host) -> Density:
    named = [(f"h{n}", replace(host, hostname=f"h{n}")) for n, host in enumerate(hosts)]
    return density(named)


def test_a_host_is_emptied_onto_one_that_runs_something() -> None:
    found = fleet(
        running(guest("a", "4-5", [1]), guest("b", "8-9", [2])), running(guest("c", "4-5", [1]))
    )
    assert found.emptied == ("h1",)
    (move,) = found.moves
    assert (move.name, move.server, move.to_server, move.live) == ("c", "h1", "h0", True)


@pytest.mark.parametrize(
    "other",
    [
        running(guest("c", "4-5", [1], pci_addresses=["0000:81:00.1"])),
        filled(running(guest("c", "4-5", [1])), "1-2"),
        replace(running(guest("c", "4-5", [1])), arch="x86_64"),
    ],
    ids=["a device", "a container", "another architecture"],
)
def test_a_host_that_something_binds_is_not_emptied(other: Host) -> None:
    full = [guest(f"full{n}", f"{n * 4}-{n * 4 + 3}", [n]) for n in range(4)]
    assert fleet(running(*full), other).moves == ()
    assert fleet(running(guest("a", "4-5", [1])), other).emptied in ((), ("h0",))


def test_nobody_moves_to_a_host_that_is_emptied_later() -> None:
    found = fleet(*(running(guest(f"g{n}", "4-5", [1])) for n in range(6)))
    to = {move.to_server for move in found.moves}
    assert to.isdisjoint(found.emptied)
    assert len({move.name for move in found.moves}) == len(found.moves)


def test_floating_guests_leave_their_cpus_to_all() -> None:
    host = running({"name": "f", "vcpu_count": 2, "max_vcpu_count": 2, "vcpu_pins": {"0": "0-15"}})
    assert roams(host.topology, CpuSet.parse("0-15"))
    assert [node.used_cpus for node in report(host).nodes] == [0, 0, 0, 0]


def test_the_report_is_aligned_and_says_each_move() -> None:
    first = filled(running(guest("torn", "6,13", [1]), guest("d\u202e", "8-9", [2])), "1-2")
    found = fleet(first, running(guest("c\x1b[2J", "4-5", [1])))
    lines = list(density_lines(found, width=80))
    heads, *rows = lines[1:6]
    assert heads.split()[:5] == ["node", "CPUs", "in", "use", "free"]
    assert {len(row) for row in rows} == {len(heads)}
    assert any("torn: nodes 1, 3 -> node" in line for line in lines)
    assert not any({"\x1b", "\u202e"} & set(line) for line in lines)


@given(hosts(), workloads())
@settings(max_examples=40, deadline=None)
def test_no_host_is_too_odd_for_a_report(host: Host, asked: Workload) -> None:
    """Of any topology and guests: what moves ends on pCPUs that are online and nobody else's."""
    try:
        made = plan_host(host, asked, limit_s=0)
    except InputError:
        return
    runs = planned_host(host, made)
    found = report(runs)
    assert len(found.nodes) >= sum(bool(node.cpus) for node in host.topology.numa_nodes)
    for node in found.nodes:
        assert node.used_cpus + node.free_cpus <= node.cpus
        assert 0 <= node.stranded_cpus <= node.free_cpus
        assert 0 <= node.stranded_bytes <= node.free_bytes
    places = {
        guest.name: CpuSet(p for pins in guest.vcpu_pins.values() for p in pins)
        for guest in runs.running_guests
    }
    own = {name: cpus for name, cpus in places.items() if not roams(host.topology, cpus)}
    for move in found.moves:
        own.pop(move.name, None)
    taken = [cpu for cpus in own.values() for cpu in cpus]
    for move in found.moves:
        assert (move.to_pcpus or CpuSet()) <= host.topology.online
        assert not set(move.to_pcpus or ()) & set(taken)
        taken += move.to_pcpus or ()
