"""The data plane under BPF_PROG_TEST_RUN: built with a clock of the test's, a frame in, a frame out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet

from support.daemon import need
from support.prog_run import Left, sent
from virtboost.flow.dataplane import DataPlane
from virtboost.flow.encode import Port

__all__ = ["LOOPBACK", "PORTS", "ROOT", "Left", "build", "frame_of", "plane", "sent"]

ROOT = Path(__file__).parents[2]

LOOPBACK = Port(1, 1500)
"""Where frames of BPF_PROG_TEST_RUN come from."""

PORTS: Mapping[str, Port] = dict.fromkeys(("v1", "v2", "p0", "br"), LOOPBACK)


def build(folder: Path, *words: str) -> None:
    """Build objects into a folder.  Skips where there is no clang."""
    need("clang", "llvm-strip", "make")
    subprocess.run(
        ("make", "--silent", "bpf", f"BPF_OUT={folder}", *words), cwd=ROOT, check=True, timeout=120
    )


@contextmanager
def plane(hook: str, objects: Path, size: int = 64) -> Iterator[DataPlane]:
    """Load the data plane.  Skips where the kernel or the user may not."""
    if os.geteuid() != 0:
        pytest.skip("BPF programs need root")
    with DataPlane(hook, size=size, objects=objects) as made:
        yield made


def frame_of(stack: Sequence[Mapping[str, int]], data: bytes = b"some data") -> bytes:
    """Return a packet of fields as the bytes of a frame: TCP over IPv4, perhaps in VXLAN."""
    inner = _ethernet(stack[-1]) / _ip(stack[-1])
    inner = inner / TCP(
        sport=stack[-1]["tcp.src"], dport=stack[-1]["tcp.dst"], flags=stack[-1]["tcp_flags"]
    )
    frame = inner / data
    if len(stack) == 2:
        outer = stack[0]
        tunnel = UDP(sport=40000, dport=4789, chksum=0) / VXLAN(vni=outer["tunnel.tun_id"], flags=8)
        frame = _ethernet(outer) / _ip(outer) / tunnel / frame
    return bytes(frame)


def _ethernet(fields: Mapping[str, int]) -> Packet:
    macs = [fields[name].to_bytes(6, "big").hex(":") for name in ("eth.dst", "eth.src")]
    frame = Ether(dst=macs[0], src=macs[1])
    if fields.get("vlan.tpid"):
        return frame / Dot1Q(vlan=fields["vlan.vid"], prio=fields["vlan.pcp"])
    return frame


def _ip(fields: Mapping[str, int]) -> Packet:
    ends = [
        ".".join(map(str, fields[name].to_bytes(4, "big"))) for name in ("ipv4.src", "ipv4.dst")
    ]
    return IP(src=ends[0], dst=ends[1], tos=fields["ipv4.tos"], ttl=fields["ipv4.ttl"])
