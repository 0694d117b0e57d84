"""A node that speaks BGP: its blocks, its pods' ends, and its own part of the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from virtboost.net.emit import bird, frr
from virtboost.net.emit.layout import Layout
from virtboost.net.emulate.speaker import Software, Speaker, routed_end


def site(
    software: Software, layout: Layout, address: str, blocks: Iterator[str], config: str
) -> Speaker:
    """Return a node that takes the next blocks, with a configuration that any node may have."""
    claimed = tuple(islice(blocks, layout.scale.blocks_per_node))
    if software == "frr":
        config += frr.own_file(layout, address, claimed)
    else:
        config = config.replace('include "own.conf";', bird.own_file(address, claimed))
    return Speaker(
        address=address,
        reflector=False,
        blocks=claimed,
        daemon=software,
        ends=tuple(routed_end(block, 0) for block in claimed),
        config=config,
    )
