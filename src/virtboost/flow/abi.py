"""The structures and numbers that the data plane and Python share: ``bpf/abi.h`` again.

Bytes and words of headers are in network order, other numbers in the host's.
"""

from __future__ import annotations

import ctypes
from typing import ClassVar

u8, u16, u32, u64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64

Mac, Address, Word, Half = u8 * 6, u8 * 16, u8 * 4, u8 * 2

TUNNELLED = 0x80000000

TAGGED = 0x1000

VXLAN_PORT = 4789

POP_TAG, PUSH_TAG, DROP, OBSERVE = 1, 2, 4, 8

MISS_ENDED = 1 << 63
"""In the count of a key without an entry."""

PUSH_MAX = 70

IN_NETWORK_ORDER = u16.__ctype_be__


class Key(ctypes.Structure):
    """``struct flow_key``."""

    _fields_: ClassVar = [
        ("source", Address),
        ("destination", Address),
        ("port", u32),
        ("vni", u32),
        ("source_port", IN_NETWORK_ORDER),
        ("destination_port", IN_NETWORK_ORDER),
        ("tag", u16),
        ("eth_type", IN_NETWORK_ORDER),
        ("protocol", u8),
        ("unused", u8 * 7),
    ]


class Headers(ctypes.Structure):
    """``struct flow_headers``."""

    _fields_: ClassVar = [
        ("eth_dst", Mac),
        ("eth_src", Mac),
        ("tpid", Half),
        ("tci", Half),
        ("first", Word),
        ("ttl", u8),
        ("unused", u8),
        ("tcp_flags", Half),
        ("outer_eth_dst", Mac),
        ("outer_eth_src", Mac),
        ("outer_first", Word),
        ("outer_ttl", u8),
        ("outer_unused", u8),
        ("outer_source_port", Half),
        ("outer_source", Address),
        ("outer_destination", Address),
        ("outer_more", Word),
    ]


class Entry(ctypes.Structure):
    """``struct flow_entry``."""

    _fields_: ClassVar = [
        ("epoch", u64),
        ("lease_ns", u64),
        ("guard", Headers),
        ("guard_mask", Headers),
        ("slot", u32),
        ("peer", u32),
        ("output", u32),
        ("mtu", u32),
        ("changes", u16),
        ("push_size", u16),
        ("push_sum", IN_NETWORK_ORDER),
        ("ip_delta", IN_NETWORK_ORDER),
        ("address_delta", IN_NETWORK_ORDER),
        ("port_delta", IN_NETWORK_ORDER),
        ("source_port", IN_NETWORK_ORDER),
        ("destination_port", IN_NETWORK_ORDER),
        ("source", Address),
        ("destination", Address),
        ("eth", u8 * 12),
        ("eth_keep", u8 * 12),
        ("first", Word),
        ("first_keep", Word),
        ("ttl", u8),
        ("ttl_keep", u8),
        ("tag", Word),
        ("push", u8 * PUSH_MAX),
        ("punt", u32),
    ]


class Control(ctypes.Structure):
    """``struct flow_control``."""

    _fields_: ClassVar = [("epoch", u64), ("lease_ns", u64), ("clock_ns", u64)]


class State(ctypes.Structure):
    """``struct flow_state``."""

    _fields_: ClassVar = [
        ("packets", u64),
        ("bytes", u64),
        ("used_ns", u64),
        ("tcp_flags", u32),
        ("closed", u32),
        ("punted", u32),
        ("unused", u32),
    ]


class Candidate(ctypes.Structure):
    """``struct flow_candidate``."""

    _fields_: ClassVar = [("key", Key), ("seen", Headers), ("packets", u64)]


PASSES: dict[int, str] = {
    1: "neither IPv4 nor IPv6",
    2: "a second tag, one before a tunnel, or any in TC",
    3: "shorter than its headers say, or of no version",
    4: "IPv4 options or an IPv6 extension header",
    5: "a fragment",
    6: "TTL or hop limit of 1 or 0",
    7: "neither TCP, UDP nor ICMP echo",
    8: "a VXLAN header with other bits, or an outer UDP checksum",
    9: "the checksum of an IPv4 header is wrong, or UDP over IPv6 has none",
    10: "no entry",
    11: "an entry of another epoch",
    12: "the lease is over",
    13: "FIN or RST went before it",
    14: "SYN, FIN or RST",
    15: "a guarded field is another",
    16: "longer than the MTU of where it would leave",
    17: "a GSO packet",
    18: "no headroom for an outer header, or a tag to put on in TC",
    19: "one now and then, which keeps what Open vSwitch knows alive",
    20: "would have been taken: --observe",
}
"""Why a packet goes on to Open vSwitch: ``enum flow_pass``."""
