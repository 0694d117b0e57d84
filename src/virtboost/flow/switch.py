"""Ports, tunnels and features: what ovs-vswitchd says of its datapath beside flows.

Source: ovs-vswitchd(8), ``dpctl/show``, ``dpif/show`` and ``dpif/show-dp-features``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from virtboost.errors import ParseError
from virtboost.flow.action import Action
from virtboost.flow.field import Field, Part
from virtboost.flow.megaflow import Megaflow
from virtboost.flow.text import Malformed, pairs

FEATURES = "dpif/show-dp-features"
"""Asked of a bridge, whose name ``dpif/show`` tells."""


class DatapathPort(Struct, frozen=True, kw_only=True):
    """A port of the datapath."""

    number: int
    name: str
    kind: str
    """``system``, ``internal``, ``vxlan``, ``dpdkvhostuserclient``, ..."""


class Tunnel(Struct, frozen=True, kw_only=True):
    """A tunnel's port on a bridge; many may share a port of the datapath."""

    bridge: str
    name: str
    kind: str
    """``vxlan``, ``geneve``, ``gre``, ..."""
    datapath_port: int
    """Number of the port of the datapath that its packets pass."""
    options: dict[str, str]
    """``key``, ``remote_ip``, ``local_ip``, ``csum``, ..."""


class Switch(Struct, frozen=True, kw_only=True):
    """One datapath of ovs-vswitchd."""

    name: str | None = None
    """``netdev@ovs-netdev``; None: not told."""
    ports: tuple[DatapathPort, ...] = ()
    bridges: tuple[str, ...] = ()
    """Names."""
    tunnels: tuple[Tunnel, ...] = ()
    features: dict[str, str] = {}
    """``Recirc: Yes``, ``Max VLAN headers: 1``, ..."""


_DATAPATH = re.compile(r"([\w-]+@[\w.-]+):(?:\s|$)")
_PORT = re.compile(r"\s+port (\d+): (\S+)(?: \(([\w-]+)[^)]*\))?")
_BRIDGE = re.compile(r"  (\S+):$")
_INTERFACE = re.compile(r"    (\S+) (\d+|none)/(\d+|none): \(([\w-]+)(?:: (.*))?\)$")
_FEATURE = re.compile(r"([A-Z][\w /-]+): (Yes|No|\d+)$")


def read_switch(lines: Iterable[str], source: str) -> Switch:
    """Return what the answers to any of these commands say, one after the other.

    Raises:
        ParseError: No line is one of theirs.
    """
    name: str | None = None
    bridge = ""
    ports: dict[int, DatapathPort] = {}
    bridges: list[str] = []
    tunnels: list[Tunnel] = []
    features: dict[str, str] = {}
    for line in (each.rstrip() for each in lines):
        if found := _DATAPATH.match(line):
            name = found[1]
        elif found := _PORT.match(line):
            number = int(found[1])
            ports[number] = DatapathPort(number=number, name=found[2], kind=found[3] or "system")
        elif found := _BRIDGE.match(line):
            bridge = found[1]  # or "caches", of the kernel's datapath, which has no interfaces
        elif found := _INTERFACE.match(line):
            bridges.append(bridge)
            tunnels += _tunnel(bridge, found)
        elif found := _FEATURE.match(line):
            features[found[1]] = found[2]
    if not (name or ports or bridges or features):
        raise ParseError(
            source, "no line of dpctl/show, dpif/show or dpif/show-dp-features", line=1
        )
    return Switch(
        name=name,
        ports=tuple(ports.values()),
        bridges=tuple(dict.fromkeys(bridges)),
        tunnels=tuple(tunnels),
        features=features,
    )


def section(lines: Iterable[str], datapath: str) -> list[str]:
    """Return the lines of ``dpif/show`` that are about one datapath."""
    found, inside = [], False
    for line in lines:
        if not line.startswith(" "):
            inside = line.startswith(f"{datapath}:")
        if inside:
            found.append(line)
    return found


def _tunnel(bridge: str, found: re.Match[str]) -> Iterator[Tunnel]:
    """Yield a port of a bridge that has another end."""
    try:
        options = {key: value for key, value, _ in pairs(found[5] or "")}
    except Malformed:
        return
    if "remote_ip" in options and found[3] != "none":
        yield Tunnel(
            bridge=bridge,
            name=found[1],
            kind=found[4],
            datapath_port=int(found[3]),
            options=options,
        )


def with_names(flows: Iterable[Megaflow], switch: Switch) -> Iterator[Megaflow]:
    """Yield megaflows whose ports have names, where a dump without ``-m`` has numbers."""
    names = {str(port.number): port.name for port in switch.ports}
    if not names:
        yield from flows
        return
    for flow in flows:
        fields = tuple(_field(each, names) for each in flow.fields)
        actions = tuple(_action(each, names) for each in flow.actions)
        yield replace(flow, fields=fields, actions=actions)


def _field(each: Field, names: Mapping[str, str]) -> Field:
    if each.name != "in_port" or str(each.parts[0].value) not in names:
        return each
    part = each.parts[0]
    return Field("in_port", (Part("in_port", names[str(part.value)], part.mask),))


def _action(each: Action, names: Mapping[str, str]) -> Action:
    if each.name in ("output", "tnl_pop") and each.argument in names:
        return Action(each.name, names[each.argument])
    return each
