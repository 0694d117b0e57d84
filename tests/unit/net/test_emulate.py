"""What an emulation runs, how it reads the kernel's messages, and what it makes of its figures."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

import pytest

from support.networks import PLAIN, described
from virtboost.errors import InputError
from virtboost.net.emit.files import files
from virtboost.net.emulate import felix
from virtboost.net.emulate.outcome import Cost, Emulation, Losses, Reach, judged, spread
from virtboost.net.emulate.scene import Scene, scene
from virtboost.net.emulate.speaker import Role
from virtboost.net.emulate.watch import RTPROT_BIRD, Change, changes
from virtboost.net.plan import plan

NOBODY: tuple[Role, ...] = ()

ONLY_NODES: tuple[Role, ...] = ("nodes",)

NODES_AND_SWITCHES: tuple[Role, ...] = ("nodes", "switches")


def acted(design: str | None, run: int | None = None, **changes: Any) -> Scene:
    return scene(described(**changes), nodes=run, design=design, faults=())


def test_of_two_in_a_mesh_exactly_the_lower_waits_for_the_other() -> None:
    """BGP between two that both connect may collide, and ends a graceful restart."""
    speakers = acted("calico-mesh", 12).speakers
    waits = {
        (own.address, other)
        for own in speakers
        for other in re.findall(r"neighbor (\S+) as 64512;\n  passive on;", own.config)
    }
    assert waits == {
        (f"192.168.0.{low}", f"192.168.0.{high}") for low, high in combinations(range(1, 13), 2)
    }


def test_blocks_are_each_one_nodes_and_reflectors_have_none() -> None:
    found = acted("calico-reflectors", 20, pods_per_node=100)
    blocks = [block for each in found.speakers for block in each.blocks]
    assert len(set(blocks)) == len(blocks) == 2 * 18
    assert blocks[:3] == ["10.240.0.0/26", "10.240.0.64/26", "10.240.0.128/26"]
    assert [each.reflector for each in found.speakers[:3]] == [True, True, False]


def test_a_large_network_is_run_with_few_nodes_and_its_own_timers() -> None:
    """BFD of 1,000 sessions is too much for a reflector, of twenty it is not."""
    churn = {"node_failures_per_day": 9}
    found = acted("calico-reflectors", churn=churn)
    assert (len(found.speakers), found.described_nodes) == (20, 1000)
    assert all("hold time 9;" in each.config for each in found.speakers)
    assert found.noticed is not None
    assert (found.noticed.low, found.noticed.high) == (3.75, 9)
    small = acted("calico-reflectors", nodes=20, churn=churn)
    assert all("bfd on;" in each.config for each in small.speakers)


def test_addresses_begin_with_the_networks_first() -> None:
    found = acted(
        "calico-mesh", 3, nodes=200, addresses=PLAIN["addresses"] | {"nodes": "10.99.0.0/24"}
    )
    assert [each.address for each in found.speakers] == ["10.99.0.1", "10.99.0.2", "10.99.0.3"]
    assert found.prefix == 24


@pytest.mark.parametrize(
    ("design", "nodes", "told"),
    [
        (
            "calico-ipip",
            10,
            "can be run: calico-mesh, calico-reflectors, calico-rack-reflectors, calico-tor, calico-vxlan, ovs-vxlan, ovn-central",
        ),
        ("calico-mesh", 1001, "from 1 to the 1000 that are described"),
        ("calico-mesh", 0, "from 1 to the 1000 that are described"),
        ("calico-mesh", 1, "calico-mesh needs 2 at least"),
        ("calico-reflectors", 3, "calico-reflectors needs 4 at least"),
    ],
)
def test_what_cannot_be_run(design: str, nodes: int, told: str) -> None:
    with pytest.raises(InputError, match=told):
        acted(design, nodes)


def test_a_recommended_design_that_cannot_be_run_is_named() -> None:
    with pytest.raises(
        InputError, match=r"^ovn-\S+ is recommended, and cannot be run; give --design"
    ):
        acted(None, wants=["tenancy"])


def test_a_bridge_has_so_many_ports() -> None:
    with pytest.raises(InputError, match=r"^--nodes: from 1 to 1023$"):
        acted("calico-mesh", 1024, nodes=2000)


def test_no_reflector_can_fail_where_there_is_none() -> None:
    with pytest.raises(InputError, match="--fault reflector: calico-mesh has none"):
        scene(described(), nodes=5, design="calico-mesh", faults=("reflector",))


@pytest.mark.parametrize(
    ("role", "design"),
    [
        ("reflectors", "calico-mesh"), ("reflectors", "calico-tor"), ("reflectors", "ovs-vxlan"),
        ("switches", "calico-mesh"), ("nodes", "ovs-vxlan"), ("nodes", "calico-vxlan"),
    ],
)  # fmt: skip
def test_who_is_not_there_cannot_be_frrs(role: Role, design: str) -> None:
    fabric = {"kind": "bgp" if design == "calico-tor" else "l2"}
    with pytest.raises(InputError, match=f"--frr {role}: {design} has none that speak BGP"):
        scene(described(fabric=fabric), nodes=5, design=design, faults=(), by_frr=(role,))


@pytest.mark.parametrize("design", ["ovs-vxlan", "ovn-central"])
def test_a_pool_of_blocks_may_be_too_small_for_subnets(design: str) -> None:
    """62 pods and a tunnel's address fit a block of 64, but not a subnet with its own three."""
    addresses = PLAIN["addresses"] | {"pods": ["10.244.0.0/24"]}
    network = described(nodes=4, pods_per_node=62, addresses=addresses)
    assert len(scene(network, nodes=4, design="calico-vxlan", faults=()).speakers) == 4
    assert len(scene(network, nodes=2, design=design, faults=()).speakers) == 2
    with pytest.raises(InputError, match=r"room for 2 subnets of /25, and 3 nodes are to be run"):
        scene(network, nodes=3, design=design, faults=())


@pytest.mark.parametrize("role", ["nodes", "reflectors"])
def test_reflectors_and_nodes_need_the_same_bfd(role: Role) -> None:
    network = described(nodes=20, churn={"node_failures_per_day": 9})
    with pytest.raises(InputError, match=r"--frr: nodes and reflectors need the same daemon"):
        scene(network, nodes=9, design="calico-reflectors", faults=(), by_frr=(role,))
    both: tuple[Role, ...] = ("nodes", "reflectors")
    found = scene(network, nodes=9, design="calico-reflectors", faults=(), by_frr=both)
    assert all(" bfd 3 " in each.config for each in found.speakers)


def test_a_node_of_frr_has_its_address_and_blocks_beside_what_is_emitted() -> None:
    network = described(nodes=50)
    found = scene(
        network, nodes=8, design="calico-reflectors", faults=(), by_frr=ONLY_NODES
    ).speakers
    assert [each.daemon for each in found] == ["bird"] * 2 + ["frr"] * 6
    assert found[3].config.endswith(
        "router bgp 64512\n bgp router-id 192.168.0.4\nexit\n"
        "ip prefix-list announced seq 1 deny 10.240.0.64/26 ge 27\n"
    )


def test_of_two_of_frr_in_a_mesh_exactly_the_lower_waits_for_the_other() -> None:
    found = scene(described(), nodes=9, design="calico-mesh", faults=(), by_frr=ONLY_NODES).speakers
    waits = {
        (own.address, other)
        for own in found
        for other in re.findall(r"neighbor (\S+) passive", own.config)
    }
    assert waits == {
        (f"192.168.0.{low}", f"192.168.0.{high}") for low, high in combinations(range(1, 10), 2)
    }


def test_what_the_plan_expects_of_bird_is_not_expected_of_frr() -> None:
    """Its memory; and its switches tell a node of its own blocks, too: two paths more."""
    bird, frr = (
        scene(
            described(fabric={"kind": "bgp"}), nodes=6, design="calico-tor", faults=(), by_frr=roles
        ).expected
        for roles in (NOBODY, NODES_AND_SWITCHES)
    )
    assert "bird_memory" in bird and "bird_memory" not in frr
    assert (bird["rib_paths"].value, frr["rib_paths"].value) == (11, 13)


def test_a_switch_is_prepared_by_what_is_emitted() -> None:
    """Line by line, with the datapath of user space."""
    network = described(nodes=4)
    emitted = files(network, plan(network, "ovs-vxlan"))["node.sh"]
    (script, *_) = [
        each.config for each in scene(network, nodes=4, design="ovs-vxlan", faults=()).speakers
    ]
    wanted = emitted.replace("datapath_type=system", "datapath_type=netdev")
    assert "datapath_type=netdev" in wanted and wanted in script


def test_ovn_is_filled_and_joined_by_what_is_emitted() -> None:
    network = described(nodes=4)
    emitted = files(network, plan(network, "ovn-central"))
    found = scene(network, nodes=4, design="ovn-central", faults=())
    assert emitted["northbound.sh"] in found.central
    assert all(emitted["node.sh"] in each.config for each in found.speakers)
    assert found.central.count("lsp-add node-3 node-3-pod-") == 30
    assert 'lsp-set-addresses node-3-pod-0 "0a:58:0a:f0:00:82 10.240.0.130"' in found.central


def test_containers_have_addresses_of_their_nodes_subnet() -> None:
    found = acted("ovs-vxlan", 3).speakers[2]
    assert found.blocks == ("10.240.0.128/26",)
    assert [each.address for each in found.ends] == ["10.240.0.130", "10.240.0.131"]
    assert {each.gateway for each in found.ends} == {"10.240.0.129"}
    assert [each.mac for each in found.ends] == ["0a:58:0a:f0:00:82", "0a:58:0a:f0:00:83"]
    lonely = acted("ovs-vxlan", 3, pods_per_node=1)
    assert [len(each.ends) for each in lonely.speakers] == [1, 1, 1]


def test_a_node_of_vxlan_tells_where_its_pods_are() -> None:
    """The tunnel has the first address of the first block, pods the next ones."""
    found = acted("calico-vxlan", 3, pods_per_node=100).speakers[2]
    told = json.loads(found.config)
    assert (told["own"]["address"], told["own"]["tunnel"]) == ("192.168.0.3", "10.240.1.0")
    assert told["own"]["blocks"] == ["10.240.1.0/26", "10.240.1.64/26"]
    assert told["mtu"] == 1450
    assert [each.address for each in found.ends] == ["10.240.1.1", "10.240.1.2"]


def test_felix_follows_what_is_told_of_other_nodes() -> None:
    """In base64, as etcd's gateway has it: a key of a node, one of a pod, and another node's."""
    events = [
        {"kv": {"key": "L2NhbGljby9ub2Rlcy8x", "value": "eyJhZGRyZXNzIjogIjEifQ=="}},
        {"kv": {"key": "L2NhbGljby93b3JrbG9hZHMvMQ==", "value": "e30="}},
        {"kv": {"key": "L2NhbGljby9ub2Rlcy8y", "value": "eyJhZGRyZXNzIjogIjIifQ=="}},
    ]
    assert felix.others(events, "1") == [{"address": "2"}]
    node = {
        "address": "192.168.0.2",
        "tunnel": "10.240.0.64",
        "mac": "66:00:00:00:00:01",
        "blocks": ["10.240.0.64/26"],
    }
    assert [*felix.forwarding([node])] == [
        "fdb replace 66:00:00:00:00:01 dev vxlan.calico dst 192.168.0.2 self permanent"
    ]
    assert [*felix.routes([node])] == [
        "neigh replace 10.240.0.64 lladdr 66:00:00:00:00:01 dev vxlan.calico nud permanent",
        "route replace 10.240.0.64/26 via 10.240.0.64 dev vxlan.calico onlink proto 80",
    ]


ADDED = bytes.fromhex(
    "3c000000 18000000 00000000 00000000  02 1a 00 00 fe 0c 00 01 00000000"
    "0800 0f00 fe000000  0800 0100 0af40040  0800 0500 c0a80002  0800 0400 02000000"
)
"""As rtnetlink(7) has it: 10.244.0.64/26 of BIRD (12) in table 254, by 192.168.0.2, device 2."""


def test_messages_of_the_kernel() -> None:
    removed = ADDED[:4] + b"\x19" + ADDED[5:]
    static = ADDED[:21] + b"\x04" + ADDED[22:]
    local = ADDED[:20] + b"\xff" + ADDED[21:]
    assert [*changes(ADDED + removed + static + local + ADDED[:8], RTPROT_BIRD)] == [
        Change(False, "10.244.0.64/26"),  # noqa: FBT003
        Change(True, "10.244.0.64/26"),  # noqa: FBT003
    ]


def test_a_run_on_a_busy_machine_is_rejected() -> None:
    def rejected(busy_ratio: float, harness_cpu_s: float, **lost: int) -> tuple[str, ...]:
        cost = Cost(
            setup_s=1,
            spawn_s=0,
            daemon_cpu_s=8,
            reflector_cpu_s=0,
            harness_cpu_s=harness_cpu_s,
            busy_ratio=busy_ratio,
        )
        run = Emulation(
            design="calico-mesh", nodes=2, reflectors=0, described_nodes=2, converged=spread([1]), measures={}, updates=0,
            reach=Reach(sent=2, arrived=2), faults=(), cost=cost, losses=Losses(**lost),
        )  # fmt: skip
        return judged(run).rejected

    assert rejected(0.7, 2) == ()
    assert rejected(0.71, 2.1, links=1, sockets=2, backlog=3, neighbours=1000) == (
        "the CPUs were 71% busy, over 70%",
        "21% of the CPU seconds are the emulation's own, over 20%",
        "links dropped 1 packets",
        "sockets had no room for 2 datagrams",
        "3 packets were beyond net.core.netdev_max_backlog",
        "the kernel's neighbour table was full 1,000 times",
    )


def test_a_start_of_tunnels_is_rejected_for_what_others_took() -> None:
    """It fills the CPUs itself: 8 s of daemons, 1 of the emulation, 1.5 of others are 14.3 %."""

    def rejected(others_cpu_s: float) -> tuple[str, ...]:
        cost = Cost(
            setup_s=1, spawn_s=0, daemon_cpu_s=8, reflector_cpu_s=0, harness_cpu_s=1, busy_ratio=1, others_cpu_s=others_cpu_s,
        )  # fmt: skip
        run = Emulation(
            design="ovs-vxlan", nodes=2, reflectors=0, described_nodes=2, converged=spread([1]), measures={}, updates=0,
            reach=Reach(sent=2, arrived=2), faults=(), cost=cost,
        )  # fmt: skip
        return judged(run).rejected

    assert rejected(1.5) == ()
    assert rejected(3) == ("25% of the CPU seconds went to other programs, over 15%",)


def test_of_a_hundred_nodes_the_95th() -> None:
    found = spread(range(100, 0, -1))
    assert (found.least, found.median, found.p95, found.most) == (1, 50.5, 95, 100)
    assert spread([3, 1, 2]).p95 == 3
