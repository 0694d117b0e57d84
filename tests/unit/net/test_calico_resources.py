"""Calico's resources against the fields of its CRDs."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from support.networks import IPV6, PLAIN, described
from virtboost.errors import InputError
from virtboost.net.emit.files import files
from virtboost.net.plan import DESIGNS, plan

MODES = ("Never", "Always", "CrossSubnet")

FIELDS: dict[str, dict[str, Any]] = {
    # Fields of libcalico-go/config/crd in projectcalico/calico that a plan may set, as read there:
    # ippools at 0058a494, bgppeers at 036c024d, bgpconfigurations at 065562dd,
    # felixconfigurations at 00157c19; those of IPv6, in felix/config/config_params.go at 0039c9cd.
    "IPPool": {
        "cidr": str, "blockSize": int, "ipipMode": MODES, "vxlanMode": MODES, "natOutgoing": bool,
        "nodeSelector": str,
    },
    "BGPConfiguration": {"asNumber": int, "nodeToNodeMeshEnabled": bool},
    "BGPPeer": {"nodeSelector": str, "peerSelector": str, "peerIP": str, "asNumber": int},
    "FelixConfiguration": {
        "ipipMTU": int, "vxlanMTU": int, "wireguardEnabled": bool, "wireguardMTU": int,
        "ipv6Support": bool, "vxlanMTUV6": int, "wireguardEnabledV6": bool, "wireguardMTUV6": int,
    },
}  # fmt: skip

SWITCHES = {"kind": "bgp"}


def resources(design: str, **changes: Any) -> list[dict[str, Any]]:
    network = described(**changes)
    return list(yaml.safe_load_all(files(network, plan(network, design))["calico.yaml"]))


def specs(design: str, kind: str, **changes: Any) -> list[dict[str, Any]]:
    return [each["spec"] for each in resources(design, **changes) if each["kind"] == kind]


CALICO = [name for name in DESIGNS if name.startswith("calico")]

FITTING = [
    (design, wants)
    for design in CALICO
    for wants in ([], ["encryption"], ["ipv6", "encryption"])
    if "ipv6" not in wants or "ipip" not in design
]


@pytest.mark.parametrize(("design", "wants"), FITTING)
def test_fields_are_those_of_the_crds(design: str, wants: list[str]) -> None:
    fabric = {"kind": "bgp" if design == "calico-tor" or "cross" in design else "l2"}
    addresses = PLAIN["addresses"] | {"fabric": ["192.168.0.1", "192.168.0.2"]}
    if "ipv6" in wants:
        addresses |= {"ipv6": IPV6 | {"fabric": ["fd00:99::1", "fd00:99::2"]}}
    found = resources(
        design, nodes=[{"count": 90, "racks": 3}], wants=wants, fabric=fabric, addresses=addresses
    )
    names = [(each["kind"], each["metadata"]["name"]) for each in found]
    assert len(set(names)) == len(names)
    assert {"IPPool"} <= {kind for kind, _ in names} <= set(FIELDS)
    for each in found:
        assert each["apiVersion"] == "projectcalico.org/v3"
        assert re.fullmatch(r"[a-z0-9.-]+", each["metadata"]["name"])
        for field, value in each["spec"].items():
            wanted = FIELDS[each["kind"]][field]
            fits = value in wanted if isinstance(wanted, tuple) else type(value) is wanted
            assert fits, f"{each['kind']}.{field}: {value!r}"


def test_a_peer_by_selector_has_no_address() -> None:
    """The CRD: with peerSelector, peerIP and asNumber must be empty."""
    for spec in specs("calico-rack-reflectors", "BGPPeer"):
        assert set(spec) == {"nodeSelector", "peerSelector"}


def labelled(selector: str, labels: dict[str, str]) -> bool:
    """Evaluate the part of Calico's selectors that a plan uses."""
    for term in selector.split(" && "):
        present = re.fullmatch(r"(!?)has\((\S+)\)", term)
        equal = re.fullmatch(r"(\S+) == '(\S+)'", term)
        if present:
            holds = (present[2] in labels) != bool(present[1])
        else:
            assert equal, term
            holds = labels.get(equal[1]) == equal[2]
        if not holds:
            return False
    return True


@pytest.mark.parametrize(
    ("design", "nodes", "racks", "groups", "top"),
    [("calico-reflectors", 60, 5, 0, 0), ("calico-rack-reflectors", 700, 20, 3, 0), ("calico-rack-reflectors", 16_000, 400, 58, 3)],
)  # fmt: skip
def test_selectors_make_the_sessions_of_the_closed_form(
    design: str, nodes: int, racks: int, groups: int, top: int
) -> None:
    """Label nodes as commands.sh does, and count the pairs that the BGPPeers join."""
    labels: list[dict[str, str]] = [{"top-reflector": "true"} for _ in range(top)]
    pairs = 2 * groups if groups else 3
    for number in range(pairs):
        group = {"bgp-group": str(number // 2 + 1)} if groups else {}
        labels.append({"route-reflector": "true", **group})
    while len(labels) < nodes:
        labels.append({"bgp-group": str(len(labels) % groups + 1)} if groups else {})
    peers = specs(design, "BGPPeer", nodes=[{"count": nodes, "racks": racks}])
    sessions = set()
    for spec in peers:
        ours = [n for n, own in enumerate(labels) if labelled(spec["nodeSelector"], own)]
        theirs = [n for n, own in enumerate(labels) if labelled(spec["peerSelector"], own)]
        sessions |= {frozenset((a, b)) for a in ours for b in theirs if a != b}
    made = plan(described(nodes=[{"count": nodes, "racks": racks}]), design)
    found = next(each for each in made.candidates if each.name == design)
    assert len(sessions) == found.quantities["sessions"].value


@pytest.mark.parametrize(
    ("design", "modes", "kind"),
    [
        ("calico-rack-reflectors", ("Never", "Never"), "l2"), ("calico-ipip", ("Always", "Never"), "l2"),
        ("calico-vxlan", ("Never", "Always"), "l2"), ("calico-ipip-cross", ("CrossSubnet", "Never"), "l3"),
        ("calico-vxlan-cross", ("Never", "CrossSubnet"), "l3"),
    ],
)  # fmt: skip
def test_pools_say_how_packets_are_wrapped(design: str, modes: tuple[str, str], kind: str) -> None:
    (pool,) = specs(design, "IPPool", fabric={"kind": kind})
    assert (pool["ipipMode"], pool["vxlanMode"]) == modes
    assert (pool["cidr"], pool["blockSize"]) == ("10.240.0.0/12", 26)


def test_the_mesh_is_on_where_it_is_the_design() -> None:
    (mesh,) = specs("calico-mesh", "BGPConfiguration", nodes=[{"count": 50}])
    (none,) = specs("calico-rack-reflectors", "BGPConfiguration")
    assert mesh == {"asNumber": 64512, "nodeToNodeMeshEnabled": True}
    assert none == {"asNumber": 64512, "nodeToNodeMeshEnabled": False}
    assert specs("calico-vxlan", "BGPConfiguration") == []


def test_tunnels_have_the_planned_mtu() -> None:
    assert specs("calico-vxlan", "FelixConfiguration") == [{"vxlanMTU": 1450}]
    assert specs("calico-ipip", "FelixConfiguration") == [{"ipipMTU": 1480}]


def both(**more: Any) -> dict[str, Any]:
    """Return what a network with both families has beside a plain one."""
    addresses = PLAIN["addresses"] | {"ipv6": IPV6}
    return {"wants": ["ipv6"], "addresses": addresses} | more


def test_tunnels_of_ipv6_have_their_mtu() -> None:
    """The documentation of Calico's MTU: over IPv6 70 bytes of VXLAN, 80 of WireGuard."""
    assert specs("calico-vxlan", "FelixConfiguration", **both()) == [
        {"vxlanMTU": 1450, "vxlanMTUV6": 1430, "ipv6Support": True}
    ]
    (found,) = specs("calico-vxlan", "FelixConfiguration", **both(wants=["encryption", "ipv6"]))
    assert found == {
        "vxlanMTU": 1440, "wireguardEnabled": True, "wireguardMTU": 1440,
        "vxlanMTUV6": 1420, "wireguardEnabledV6": True, "wireguardMTUV6": 1420, "ipv6Support": True,
    }  # fmt: skip
    assert specs("calico-rack-reflectors", "FelixConfiguration", **both()) == [
        {"ipv6Support": True}
    ]


def test_pools_of_ipv6_stand_beside_those_of_ipv4() -> None:
    four, six = specs("calico-vxlan", "IPPool", **both())
    assert (four["cidr"], four["blockSize"]) == ("10.240.0.0/12", 26)
    assert six == {
        "cidr": "fd00:10:244::/48", "blockSize": 122, "ipipMode": "Never", "vxlanMode": "Always",
        "natOutgoing": True, "nodeSelector": "all()",
    }  # fmt: skip


def test_switches_are_peers_in_both_families() -> None:
    addresses = PLAIN["addresses"] | {
        "fabric": ["192.168.0.1", "192.168.0.2"],
        "ipv6": IPV6 | {"fabric": ["fd00:99::1", "fd00:99::2"]},
    }
    found = specs("calico-tor", "BGPPeer", **both(addresses=addresses, fabric=SWITCHES))
    assert [each["peerIP"] for each in found] == [
        *("192.168.0.1", "192.168.0.2"),
        *("fd00:99::1", "fd00:99::2"),
    ]


def test_switches_of_each_rack_are_peers_of_its_nodes() -> None:
    addresses = PLAIN["addresses"] | {"fabric": ["10.1.0.1", "10.1.0.2", "10.1.1.1", "10.1.1.2"]}
    found = specs(
        "calico-tor",
        "BGPPeer",
        nodes=[{"count": 90, "racks": 2}],
        fabric=SWITCHES,
        addresses=addresses,
    )
    assert found[2] == {"nodeSelector": "rack == '2'", "peerIP": "10.1.1.1", "asNumber": 64513}
    shared = PLAIN["addresses"] | {"fabric": ["10.1.0.1", "10.1.0.2"]}
    found = specs("calico-tor", "BGPPeer", fabric=SWITCHES, addresses=shared)
    assert found == [{"peerIP": address, "asNumber": 64513} for address in shared["fabric"]]


@pytest.mark.parametrize(
    ("design", "changes", "told"),
    [
        ("calico-tor", {"fabric": SWITCHES}, "addresses.fabric: 0 named; 2 where every rack has the same, or 50, 2 for each rack"),
        ("calico-rack-reflectors", {"addresses": PLAIN["addresses"] | {"reflectors": ["192.168.0.1"]}}, "addresses.reflectors: 1 named, and 8 are planned"),
        (None, {"wants": ["ipv6"]}, "addresses.ipv6: not there, and ipv6 is among wants"),
        ("calico-tor", both(fabric=SWITCHES, addresses=PLAIN["addresses"] | {"fabric": ["192.168.0.1", "192.168.0.2"], "ipv6": IPV6}), "addresses.ipv6.fabric: 0 named, and 2 in addresses.fabric"),
        (None, {"wants": ["userspace", "tenancy"]}, "no design serves this network: nothing to write"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told(design: str | None, changes: dict[str, Any], told: str) -> None:
    network = described(**changes)
    with pytest.raises(InputError, match=re.escape(told)):
        files(network, plan(network, design))
