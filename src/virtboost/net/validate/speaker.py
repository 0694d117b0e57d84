"""A real BIRD with synthetic peers, in two namespaces: what it takes until all is told."""

from __future__ import annotations

import asyncio
import time

from virtboost.net.emulate import space
from virtboost.net.emulate.bird import Bird
from virtboost.net.emulate.daemon import DaemonError
from virtboost.net.emulate.scene import Scene
from virtboost.net.emulate.speaker import Speaker
from virtboost.net.figure import NOTHING
from virtboost.net.validate import rung as ladder
from virtboost.net.validate.peers import Farm, Own
from virtboost.net.validate.rung import SpeakerRun, SpeakerRung

AS_NUMBER = 64512

TESTED, PEERS = 0, 1
"""Places of namespaces."""

PATIENCE_S = 180

QUIET_S = 0.3
"""Without another route, once there are enough."""

POOL = (str(ladder.PODS),)


def climb(rung: SpeakerRung) -> SpeakerRun:
    """Run one rung.

    Raises:
        DaemonError: BIRD ended, or did not tell all.
    """
    bird = Bird(TESTED, _build(rung))
    return asyncio.run(_climb(rung, bird))


def _build(rung: SpeakerRung) -> Speaker:
    """Make the namespaces, with an address for each peer."""
    own = (str(ladder.own_block()),) if rung.role == "node" else ()
    tested = Speaker(
        address=str(ladder.speaker_address()),
        reflector=rung.role == "reflector",
        blocks=own,
        config=ladder.configuration(rung),
    )
    addresses = [str(ladder.peer_address(place)) for place in range(rung.peers)]
    farm = Speaker(address=addresses[0], reflector=False, blocks=(), config="")
    prefix = ladder.NODES.prefixlen
    space.build(
        Scene(
            design="",
            described_nodes=2,
            mtu=1500,
            pod_mtu=1500,
            prefix=prefix,
            pools=POOL,
            speakers=(tested, farm),
            expected={},
            noticed=NOTHING,
            restart_loss=NOTHING,
            faults=(),
        )
    )
    others = addresses[1:]
    space.batch(PEERS, [f"address add {each}/{prefix} dev eth0" for each in others])
    space.batch(TESTED, [space.neighbour(each, PEERS) for each in others])
    return tested


async def _climb(rung: SpeakerRung, bird: Bird) -> SpeakerRun:
    blocks = ladder.peer_blocks(rung)
    owns = [
        Own(address=ladder.peer_address(place), blocks=blocks[place]) for place in range(rung.peers)
    ]
    farm = Farm(str(ladder.speaker_address()), AS_NUMBER, owns, PEERS)
    began = time.monotonic()
    bird.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await farm.begin()
            up = time.monotonic()
            await _told(rung, bird, farm)
    except TimeoutError:
        raise DaemonError(
            f"BIRD with {rung.peers:,} peers: {farm.routes:,} of "
            f"{ladder.routes_expected(rung):,} routes told after {PATIENCE_S} s"
        ) from None
    done = time.monotonic()
    return SpeakerRun(
        rung=rung,
        up_s=up - began,
        done_s=done - began,
        cpu_s=bird.cpu_s(),
        memory_bytes=bird.memory_bytes(),
        routes_sent=farm.routes,
        messages_sent=sum(peer.updates for peer in farm.peers),
        routes_installed=bird.routes(POOL) if rung.role == "node" else 0,
    )


async def _told(rung: SpeakerRung, bird: Bird, farm: Farm) -> None:
    """Wait until every peer was told of every route, some twice, and the kernel too."""
    expected, before = ladder.routes_expected(rung), -1
    while farm.routes < expected or farm.routes != before:
        before = farm.routes
        bird.running()
        await asyncio.sleep(QUIET_S)
    if rung.role == "node":
        while bird.routes(POOL) < 1 + rung.peers * rung.blocks:
            await asyncio.sleep(QUIET_S)
