"""Every machine of the lab is one that can be."""

import pytest

from lab.machine import MACHINES, TAISHAN, Machine


@pytest.mark.parametrize("machine", MACHINES.values(), ids=lambda machine: machine.name)
def test_distances_and_devices_are_of_its_nodes(machine: Machine) -> None:
    rows = machine.distances
    assert len(rows) == machine.nodes
    assert all(rows[a][b] == rows[b][a] for a in range(len(rows)) for b in range(len(rows)))
    assert all(rows[node][node] == 10 for node in range(len(rows)))
    assert {device.node_id for device in machine.devices} <= set(range(machine.nodes))


def test_the_big_one_is_shaped_like_a_taishan_200() -> None:
    """2 sockets, 4 NUMA nodes of 24, CPU clusters of 4 (Kunpeng 920 5250: 48 cores)."""
    assert (TAISHAN.sockets, TAISHAN.nodes, TAISHAN.node_cpus, TAISHAN.cores) == (2, 4, 24, 4)
    assert TAISHAN.cpus == 96
