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

NETLINK_ROUTE = 0

NETLINK_GENERIC, CTRL_ID, CTRL_GETFAMILY, FAMILY_ID, FAMILY_NAME = 16, 16, 3, 1, 2

GET_QDISC, NEW_QDISC, TCMSG_BYTES, KIND = 38, 36, 20, 1

DEV_GET, IFINDEX, XDP_FEATURES, NDO_XMIT = 1, 1, 3, 4

REQUEST, DUMP = 0x1, 0x300

ERROR, DONE = 2, 3


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


def queueing() -> dict[int, set[str]]:
    """Return the kinds of queueing disciplines of each device that has any, by its index."""
    found: dict[int, set[str]] = {}
    body = bytes(TCMSG_BYTES)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as route:
        route.send(struct.pack("=IHHII", 16 + len(body), GET_QDISC, REQUEST | DUMP, 0, 0) + body)
        while True:
            for kind, told in messages(route.recv(1 << 16)):
                if kind in (DONE, ERROR):
                    return found
                if kind == NEW_QDISC:
                    (ifindex,) = struct.unpack_from("=i", told, 4)
                    name = dict(attributes(told[TCMSG_BYTES:])).get(KIND, b"")
                    found.setdefault(ifindex, set()).add(name.rstrip(b"\0").decode())


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and body of messages of netlink(7); what is cut off is left out."""
    at = 0
    while at + 16 <= len(data):
        size, kind = struct.unpack_from("=IH", data, at)
        if size < 16:
            return
        yield kind, data[at + 16 : at + size]
        at += (size + 3) & ~3


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and value of attributes of netlink(7); what is cut off is left out."""
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + size]
        at += (size + 3) & ~3
