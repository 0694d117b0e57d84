"""Configuration of the fabric between racks: spines, and switches' sessions with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network

from virtboost.net.emit import bird, frr
from virtboost.net.emit.layout import Layout, families
from virtboost.net.emulate.speaker import Software


def spine(software: Software, layout: Layout, fabric: IPv4Network, address: str) -> str:
    """Return the configuration of a spine, which reflects, with itself as the next hop."""
    number = layout.network.fabric_as_number
    if software == "frr":
        lines = [
            *frr.head(number, address),
            *_group(layout, "switches"),
            f" bgp listen limit {fabric.num_addresses}",
            f" bgp listen range {fabric} peer-group switches",
            *_family(layout, "switches", reflected=True),
            "exit",
            *frr.pods(layout),
        ]
    else:
        lines = [
            *bird.router(layout, address),
            "protocol bgp switches {",
            f"  neighbor range {fabric} as {number};",
            '  dynamic name "switch";',
            "  rr client;",
            *_session(layout, address),
        ]
    return "\n".join(lines) + "\n"


def upward(software: Software, layout: Layout, uplink: str, spines: Sequence[str]) -> str:
    """Return the sessions of a switch with the spines, behind its sessions with nodes."""
    number = layout.network.fabric_as_number
    lines: list[str] = []
    if software == "frr":
        lines += (
            f"router bgp {number}",
            *_group(layout, "spines"),
            *(f" neighbor {each} peer-group spines" for each in spines),
            *_family(layout, "spines"),
            "exit",
        )
    else:
        for place, each in enumerate(spines, 1):
            lines += (
                f"protocol bgp spine{place} {{",
                f"  neighbor {each} as {number};",
                *_session(layout, uplink),
            )
    return "\n".join(lines) + "\n"


def _session(layout: Layout, address: str) -> Iterator[str]:
    yield f"  local {address} as {layout.network.fabric_as_number};"
    yield "  direct;"
    yield from bird.timers(layout, "aware")
    yield "  ipv4 { import filter pods; export filter pods; next hop self; };"
    yield "}"


def _group(layout: Layout, name: str) -> Iterator[str]:
    yield from frr.timers(layout, "aware")
    yield f" neighbor {name} peer-group"
    yield from frr.session(name, layout.network.fabric_as_number)
    yield from frr.detection(layout, (name,))


def _family(layout: Layout, name: str, *, reflected: bool = False) -> Iterator[str]:
    yield " address-family ipv4 unicast"
    yield from frr.policy(families(layout)[0], name, client=reflected)
    yield f"  neighbor {name} next-hop-self{' force' * reflected}"
    yield " exit-address-family"
