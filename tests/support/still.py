"""Two reads of one live machine are equal apart from what moves by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from virtboost.model.document import to_json
from virtboost.model.host import Host
from virtboost.scan.host import scan
from virtboost.transport.local import LocalReader

LOOKS = 4

MOVING = {
    "available_bytes",
    "count",
    "counts",
    "effective_affinity",
    "free",
    "free_bytes",
    "ksm_pages_sharing",
    "memory_bytes",  # the balloon of a virtual machine
    "pressure",
    "total",
    "total_bytes",
    "vm.nr_hugepages",
    "net.netfilter.nf_conntrack_count",
}
"""Fields and sysctls that differ between two reads of a host on which nobody changed anything."""


OTHERS = {
    "libvirt": "libvirt",
    "guests": "guests",
    "engines": "containers",
    "containers": "containers",
    "ovs": "Open vSwitch",
    "pmd": "PMD threads",
    "agents": "agents",
}
"""Fields of what other tests start and stop meanwhile, and the gaps that hide them."""


def is_this_machine(read: Callable[[], Host]) -> int:
    """Assert that ``read`` tells this machine as it is; return how often it was asked.

    Another test may change the machine between two looks, so a difference is looked at again; a
    reader that reads otherwise differs each time.
    """
    for look in range(1, LOOKS + 1):
        found, here = still(read()), still(scan(LocalReader()))
        if found == here:
            return look
    assert found == here
    return LOOKS


def still(host: Host) -> Any:
    """Return a host's document without what moves.

    Other tests make and remove virtual interfaces, guests and containers meanwhile; those are
    tested apart.
    """
    document = _without(json.loads(to_json(host)))
    document = {key: value for key, value in document.items() if key not in OTHERS}
    document["gaps"] = [gap for gap in document["gaps"] if gap["what"] not in OTHERS.values()]
    own = [each for each in document["net"] if each["kind"] == "physical" or each["name"] == "lo"]
    return document | {"net": own}


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(item) for key, item in value.items() if key not in MOVING}
    return [_without(item) for item in value] if isinstance(value, list) else value
