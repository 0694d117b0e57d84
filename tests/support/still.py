"""Two reads of one live machine are equal apart from what moves by itself."""

from __future__ import annotations

import json
from typing import Any

from virtboost.model.document import to_json
from virtboost.model.host import Host

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
    "total_bytes",
    "net.netfilter.nf_conntrack_count",
}
"""Fields and sysctls that differ between two reads of a host on which nobody changed anything."""


def still(host: Host) -> Any:
    """Return a host's document without what moves.

    Other tests make and remove virtual interfaces meanwhile; those of a namespace are tested apart.
    """
    document = _without(json.loads(to_json(host)))
    own = [each for each in document["net"] if each["kind"] == "physical" or each["name"] == "lo"]
    return document | {"net": own}


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(item) for key, item in value.items() if key not in MOVING}
    return [_without(item) for item in value] if isinstance(value, list) else value
