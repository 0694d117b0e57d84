"""Devices of this network namespace: what packets may be redirected to.

A veth drops what is redirected to it unless its other end takes it by NAPI, as with GRO on or an
XDP program (``veth_xdp_xmit`` of drivers/net/veth.c); the kernel tells it as a feature of the
device (since 6.3; Documentation/netlink/specs/netdev.yaml).
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterator

from virtboost.flow.encode import Port

SIOCGIFMTU = 0x8921

NETLINK_GENERIC, CTRL_ID, CTRL_GETFAMILY, FAMILY_ID, FAMILY_NAME = 16, 16, 3, 1, 2

DEV_GET, IFINDEX, XDP_FEATURES, NDO_XMIT = 1, 1, 3, 4

REQUEST, ERROR = 1, 2


def device_of(name: str) -> Port | None:
    """Return a device; None: there is none."""
    try:
        index = socket.if_nametoindex(name)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            request = struct.pack("16si12x", name.encode(), 0)
            answer = fcntl.ioctl(any_socket, SIOCGIFMTU, request)
    except OSError:
        return None
    return Port(index, struct.unpack_from("i", answer, 16)[0])


class Features:
    """What the kernel tells of devices."""

    def __init__(self) -> None:
        """Find whom to ask; a kernel before 6.3 has nobody."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self._socket.settimeout(1)
        found = self._ask(CTRL_ID, CTRL_GETFAMILY, _attribute(FAMILY_NAME, b"netdev\0"))
        self._family = struct.unpack("=H", found[FAMILY_ID])[0] if FAMILY_ID in found else 0

    def takes_redirected(self, ifindex: int) -> bool | None:
        """Tell whether a device sends what is redirected to it; None: the kernel does not tell."""
        if not self._family:
            return None
        found = self._ask(self._family, DEV_GET, _attribute(IFINDEX, struct.pack("=I", ifindex)))
        if XDP_FEATURES not in found:
            return None
        return bool(struct.unpack("=Q", found[XDP_FEATURES])[0] & NDO_XMIT)

    def _ask(self, family: int, command: int, attribute: bytes) -> dict[int, bytes]:
        """Return the attributes of an answer; of an error, none."""
        body = struct.pack("=BBH", command, 1, 0) + attribute
        self._socket.send(struct.pack("=IHHII", 16 + len(body), family, REQUEST, 0, 0) + body)
        try:
            answer = self._socket.recv(1 << 16)
        except OSError:
            return {}
        if struct.unpack_from("=H", answer, 4)[0] == ERROR:
            return {}
        return dict(attributes(answer[20:]))

    def close(self) -> None:
        """Ask no more."""
        self._socket.close()


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and value of attributes of netlink(7); what is cut off is left out."""
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + size]
        at += (size + 3) & ~3
