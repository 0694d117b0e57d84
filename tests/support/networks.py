"""Descriptions of container networks for tests."""

from __future__ import annotations

from typing import Any

import msgspec

from virtboost.model.document import decode_hook
from virtboost.net.description import Network

PLAIN: dict[str, Any] = {
    "nodes": [{"count": 1000, "racks": 25}],
    "pods_per_node": 30,
    "fabric": {"kind": "l2"},
    "addresses": {
        "pods": ["10.240.0.0/12"],
        "services": "10.96.0.0/16",
        "nodes": "192.168.0.0/16",
    },
}

IPV6: dict[str, Any] = {"pods": ["fd00:10:244::/48"], "nodes": "fd00:99::/64"}
"""Of pods that have both families: ``addresses.ipv6``."""


def described(**changes: Any) -> Network:
    """Return a network of 1,000 nodes in one subnet, with other values at the top."""
    return msgspec.convert(PLAIN | changes, Network, dec_hook=decode_hook)
