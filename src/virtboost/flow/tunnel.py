"""The outer header that ``tnl_push`` puts before a packet: VXLAN over IPv4 or IPv6."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from virtboost.flow import field
from virtboost.flow.field import TUNNEL_FLAGS
from virtboost.flow.text import Malformed, pairs

VNI_IS_VALID = 0x08000000
"""Flags of a VXLAN header that has a VNI (RFC 7348)."""

HEADER = 8
"""Bytes of a VXLAN header."""

UDP_HEADER = 8


def pushed_header(text: str) -> tuple[dict[str, int], bytes]:
    """Return the fields of a header as ``tnl_push`` has it, and its bytes.

    In the bytes, lengths, checksums and the source port of UDP are 0; where UDP is to have a
    checksum, that is all ones.

    Raises:
        Malformed: It is not VXLAN.
    """
    parts = {name: dict(_two(value)) for name, value, _ in pairs(text)}
    if not {"eth", "udp", "vxlan"} <= parts.keys() or not {"ipv4", "ipv6"} & parts.keys():
        raise Malformed("only the header of VXLAN is known")
    try:
        return _fields(parts), _template(parts)
    except (KeyError, ValueError, struct.error) as error:
        raise Malformed(f"header of a tunnel: {error}") from None


def _two(text: str) -> list[tuple[str, str]]:
    return [(key, value) for key, value, _ in pairs(text)]


def _number(text: str) -> int:
    return int(text, 0)


def _fields(parts: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    eth, udp = parts["eth"], parts["udp"]
    found = {
        "vlan.tpid": 0,
        "eth.dst": field.mac(eth["dst"]),
        "eth.src": field.mac(eth["src"]),
        "eth_type": _number(eth["dl_type"]),
        "udp.dst": _number(udp["dst"]),
        "tunnel.tun_id": _number(parts["vxlan"]["vni"]),
        "tunnel.flags": TUNNEL_FLAGS["key"] | bool(_number(udp["csum"])) * TUNNEL_FLAGS["csum"],
    }
    version = "ipv4" if "ipv4" in parts else "ipv6"
    found |= {f"{version}.frag": 0}
    for key in ("src", "dst", "proto", "tos", "ttl", "tclass", "hlimit"):
        if key in parts[version]:
            part = field.decode(version, f"{key}={parts[version][key]}").parts[0]
            found[part.name] = int(part.value)
    return found


def _template(parts: Mapping[str, Mapping[str, str]]) -> bytes:
    fields, udp = _fields(parts), parts["udp"]
    eth = b"".join(fields[name].to_bytes(6, "big") for name in ("eth.dst", "eth.src"))
    eth += struct.pack("!H", fields["eth_type"])
    if "ipv4" in parts:
        ip = struct.pack(
            "!BBHHHBBHII",
            0x45, fields["ipv4.tos"], 0, 0, _number(parts["ipv4"]["frag"]),
            fields["ipv4.ttl"], fields["ipv4.proto"], 0, fields["ipv4.src"], fields["ipv4.dst"],
        )  # fmt: skip
    else:
        first = 6 << 28 | fields["ipv6.tclass"] << 20 | _number(parts["ipv6"].get("label", "0"))
        ip = struct.pack("!IHBB", first, 0, fields["ipv6.proto"], fields["ipv6.hlimit"])
        ip += b"".join(fields[name].to_bytes(16, "big") for name in ("ipv6.src", "ipv6.dst"))
    checksum = 0xFFFF if _number(udp["csum"]) else 0
    ports = struct.pack("!HHHH", _number(udp["src"]), fields["udp.dst"], 0, checksum)
    flags = _number(parts["vxlan"]["flags"])
    return eth + ip + ports + struct.pack("!II", flags, fields["tunnel.tun_id"] << 8)
