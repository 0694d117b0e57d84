"""What megaflows counted, without the marks of the harness."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from differential.tap import MARK
from virtboost.flow.megaflow import Megaflow, read_flows

OUTER = 50
"""Bytes of Ethernet, IPv4, UDP and VXLAN."""

_RECIRCULATION = re.compile(r"recirc\(0x[0-9a-f]+\)")

Count = tuple[int, int]
"""Packets and bytes."""


def counted(lines: Iterable[str]) -> dict[str, Count]:
    """Return counts by match and actions; bits that a megaflow does not match on are left out.

    So are fragments: those that conntrack waited in vain for the rest of come out seconds later,
    of an earlier episode.
    """
    found: defaultdict[str, Count] = defaultdict(lambda: (0, 0))
    marks = (0, 0)
    for line in lines:
        for flow in read_flows([line], "flows"):
            if _is_mark(flow):
                if "vxlan" in str(flow.match["in_port"].value):
                    marks = _sum(marks, flow)
            elif not _is_fragment(flow):
                found[_name(flow)] = _sum(found[_name(flow)], flow)
    return {name: _without(marks, name, each) for name, each in found.items()}


def _is_mark(flow: Megaflow) -> bool:
    return flow.match["eth_type"].value == MARK


def _is_fragment(flow: Megaflow) -> bool:
    parts = (flow.match.get(name) for name in ("ipv4.frag", "ipv6.frag"))
    return any(part is not None and int(part.value) & part.mask for part in parts)


def _name(flow: Megaflow) -> str:
    parts = [
        f"{part.name}={int(part.value) & part.mask:#x}/{part.mask:#x}"
        if isinstance(part.value, int)
        else f"{part.name}={part.value}"
        for part in flow.match.values()
        if part.mask and part.name != "recirc_id"
    ]
    actions = flow.text.partition("actions:")[2].partition(", dp-")[0]
    return f"{','.join(sorted(parts))} {_RECIRCULATION.sub('recirc', actions)}"


def _sum(one: Count, flow: Megaflow) -> Count:
    return one[0] + flow.packets, one[1] + flow.bytes


def _without(marks: Count, name: str, each: Count) -> Count:
    """Take marks out of the megaflow that takes them out of the tunnel too."""
    if "tnl_pop" not in name:
        return each
    return each[0] - marks[0], each[1] - marks[1] - OUTER * marks[0]
