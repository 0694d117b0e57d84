"""The seeded script: episodes of steps, each step frames that go in at once, or an order to the world.

A step has frames whose order at a host does not matter: those of one end come in the order of
the step, those of different ends in any.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from differential.pipelines import LANES
from differential.talk import OPTIONS, SIDES, Send, Side, Talk, wrapped

WARM = 24
"""Packets of each direction that make a connection worth a fast path."""

Kind = Literal[
    "send",
    "learn",
    "hold",
    "release",
    "forget",
    "replug",
    "restart",
    "change",
    "kill",
    "freeze",
    "thaw",
    "wait",
]


class Step(NamedTuple):
    """What both worlds do next."""

    kind: Kind
    frames: Sequence[Send] = ()
    words: tuple[str, ...] = ()
    """A host, and a port of it, or a version of the rules; or seconds."""


class Episode(NamedTuple):
    """Steps that begin with no connection."""

    name: str
    steps: list[Step]


def sending(*frames: Send) -> Step:
    return Step("send", frames)


def episodes(seed: int) -> Iterator[Episode]:
    """Yield episodes without end; a seed says which."""
    chance = random.Random(seed)
    names = [*EPISODES, *LONG]
    number = 0
    while True:
        chance.shuffle(names)
        for name in names:
            number += 1
            yield episode(name, chance, number)


def episode(name: str, chance: random.Random, number: int) -> Episode:
    """Return one episode; its number makes its tuples new."""
    return Episode(name, list({**EPISODES, **LONG}[name](chance, number * 16 % 50_000)))


def _talk(chance: random.Random, number: int) -> Talk:
    """Return a connection of any lane and version of IP."""
    lane = chance.choice(list(LANES))
    version = 6 if lane in ("plain", "back") and chance.random() < 0.4 else 4
    return Talk(lane, number, chance, version=version)


def opened(talk: Talk) -> Iterator[Step]:
    """Yield a handshake and enough data for a fast path to be learned."""
    yield sending(talk.tcp("client", "S"))
    yield sending(talk.tcp("server", "SA"))
    yield sending(talk.tcp("client", "A"))
    for _ in range(WARM // 4):
        for side in SIDES:
            yield sending(*(talk.tcp(side, "A", talk.data()) for _ in range(4)))
    yield Step("learn")


def burst(talk: Talk, chance: random.Random, count: int = 4) -> Iterator[Step]:
    """Yield data.

    The first goes alone: packets of a batch are tracked together, before the rules of the first
    commit its connection, and which packets share a batch is chance.
    """
    for side in SIDES:
        yield sending(talk.tcp(side, "PA", talk.data()))
    for _ in range(count):
        side = chance.choice(SIDES)
        yield sending(*(talk.tcp(side, "PA", talk.data()) for _ in range(chance.randint(1, 20))))


def _headers(chance: random.Random, number: int) -> Iterator[Step]:
    """TTL, ECN, DSCP, flags and tags of every kind, and lengths about the MTU.

    A frame too long for a device is alone: it makes Open vSwitch lose what it sends behind it in one call.
    """
    talk = _talk(chance, number)
    yield from opened(talk)
    for _ in range(24):
        side = chance.choice(SIDES)
        yield sending(*(_odd(talk, side, chance) for _ in range(chance.randint(1, 3))))
    for beyond in (-1, 0, 1, 4, 50):
        for side in SIDES:
            yield sending(talk.tcp(side, "A", talk.data(talk.fits(beyond))))
    yield from _closed(talk, chance)


FLAGS = ("PA", "UA", "EA", "CA", "", "P", "U", "E")
"""Of segments that neither open nor close; those without ACK are invalid to conntrack."""


def _odd(talk: Talk, side: Side, chance: random.Random) -> Send:
    """Return a segment with something unusual, or nothing."""
    draw = chance.random()
    if draw < 0.3:
        return talk.tcp(side, "A", talk.data(), ttl=chance.choice((0, 1, 2, 63, 64, 128, 255)))
    if draw < 0.5:
        return talk.tcp(side, "A", talk.data(), tos=chance.getrandbits(8))
    if draw < 0.6:
        return talk.tcp(side, chance.choice(FLAGS), talk.data())
    if draw < 0.8:
        return talk.tcp(side, "A", talk.data(), tag=chance.choice((1, 42, 4094)))
    return talk.tcp(side, "A")


def _options(chance: random.Random, number: int) -> Iterator[Step]:
    """IP options and fragments, which never take a fast path."""
    talk = Talk(chance.choice(list(LANES)), number, chance)
    yield from _answered(talk)
    for _ in range(8):
        side = chance.choice(SIDES)
        yield sending(talk.udp(side, talk.data(), **OPTIONS))
        yield sending(*talk.fragments(side, chance.randint(200, 1300)))
        yield sending(talk.udp(side, talk.data()), *talk.fragments(side, 400))


def _answered(talk: Talk, *, checksum: bool = True) -> Iterator[Step]:
    """Yield enough datagrams of both ends for a fast path to be learned; the first go alone."""
    for count in range(WARM // 4):
        for side in SIDES:
            each = 4 if count else 1
            yield sending(*(talk.udp(side, talk.data(), checksum=checksum) for _ in range(each)))
    yield Step("learn")


def _datagrams(chance: random.Random, number: int) -> Iterator[Step]:
    """UDP with and without a checksum."""
    talk = _talk(chance, number)
    yield from _answered(talk)
    for _ in range(12):
        side = chance.choice(SIDES)
        whole = chance.random() < 0.5
        yield sending(*(talk.udp(side, talk.data(), checksum=whole) for _ in range(4)))


def _zero_checksums(chance: random.Random, number: int) -> Iterator[Step]:
    """UDP of IPv4 without a checksum, through an address translation too."""
    talk = Talk(chance.choice(("plain", "nat")), number, chance)
    yield from _answered(talk, checksum=False)
    for _ in range(8):
        side = chance.choice(SIDES)
        yield sending(talk.udp(side, talk.data(), checksum=False), talk.udp(side, talk.data()))


def _outer(chance: random.Random, number: int) -> Iterator[Step]:
    """Outer headers that another tunnel end may send: ECN, TTL, checksums, fragments, bits that mean nothing."""
    talk = Talk("plain", number, chance, version=chance.choice((4, 6)))
    yield from opened(talk)
    for _ in range(24):
        tos = chance.choice((0, 0, 1, 2, 3, 184))
        said = talk.tcp("client", "A", talk.data(), tos=chance.choice((0, 1, 2, 3, 184)))
        yield sending(wrapped(said, **{**chance.choice(OUTER), "tos": tos}))
        yield sending(talk.tcp("server", "A", talk.data()))
    yield from _closed(talk, chance)


OUTER: tuple[dict[str, Any], ...] = (
    {}, {}, {"ttl": 1}, {"ttl": 255}, {"flags": 0}, {"id": 7}, {"checksum": True}, {"options": True},
    {"vni": 99}, {"flags": "MF"}, {"frag": 3}, {"reserved": 1}, {"bits": 12}, {"src": "1.1.2.99"}, {"tail": b"end"},
    {"port": 50_001}, {"chksum": 1},
)  # fmt: skip
"""What is unusual of an outer header."""


def _echoes(chance: random.Random, number: int) -> Iterator[Step]:
    """ICMP echo."""
    talk = _talk(chance, number)
    for count in range(WARM):
        yield sending(talk.echo("client", count, talk.data()))
        yield sending(talk.echo("server", count, talk.data()))
        if count == WARM // 2:
            yield Step("learn")


def _errors(chance: random.Random, number: int) -> Iterator[Step]:
    """ICMP errors about segments of a connection."""
    talk = Talk(chance.choice(list(LANES)), number, chance)
    yield from opened(talk)
    for _ in range(6):
        side = chance.choice(SIDES)
        other = SIDES[1 - SIDES.index(side)]
        said = talk.tcp(side, "A", talk.data())
        yield sending(said)
        yield sending(talk.error(other, said, chance.choice((0, 1, 3, 4))))
        yield sending(talk.tcp(other, "A", talk.data()))
    yield from _closed(talk, chance)


def _closed(talk: Talk, chance: random.Random) -> Iterator[Step]:
    """One of the ways in which a connection ends, with data around the flags."""
    yield from chance.choice((_finished, _crossed, _reset, _reset_behind))(talk, chance)


def _finished(talk: Talk, chance: random.Random) -> Iterator[Step]:
    first = chance.choice(SIDES)
    second = SIDES[1 - SIDES.index(first)]
    yield sending(talk.tcp(first, "A", talk.data()), talk.tcp(first, "FA", talk.data()))
    yield sending(talk.tcp(second, "A", talk.data()), talk.tcp(second, "FA"))
    yield sending(talk.tcp(first, "A"))
    yield sending(talk.tcp(second, "A", b"late"), talk.tcp(second, "A"))


def _crossed(talk: Talk, chance: random.Random) -> Iterator[Step]:
    """Both close at once: each host sees its own end's FIN first."""
    yield Step("hold")
    yield sending(talk.tcp("client", "FA"))
    yield sending(talk.tcp("server", "FA"))
    yield Step("release")
    yield sending(talk.tcp("client", "A"))
    yield sending(talk.tcp("server", "A"))
    yield sending(talk.tcp(chance.choice(SIDES), "A", talk.data()))


def _reset(talk: Talk, chance: random.Random) -> Iterator[Step]:
    side = chance.choice(SIDES)
    yield sending(talk.tcp(side, "A", talk.data()), talk.tcp(side, "RA"))
    for each in SIDES:
        yield sending(talk.tcp(each, "A", talk.data()))


def _reset_behind(talk: Talk, chance: random.Random) -> Iterator[Step]:
    """A RST crosses data of the other end."""
    yield Step("hold")
    yield sending(talk.tcp("server", "A", talk.data()), talk.tcp("server", "A", talk.data()))
    yield sending(talk.tcp("client", "R"))
    yield Step("release")
    for each in SIDES:
        yield sending(talk.tcp(each, "A", talk.data()))


def _reused(chance: random.Random, number: int) -> Iterator[Step]:
    """A tuple that comes again: after FIN, after RST, and over an open connection."""
    talk = _talk(chance, number)
    yield from opened(talk)
    yield from _closed(talk, chance)
    yield from opened(talk)
    yield from burst(talk, chance)
    yield sending(talk.tcp("client", "S"))
    yield sending(talk.tcp("server", "A"), talk.tcp("server", "A", talk.data()))
    yield from burst(talk, chance)
    yield from _closed(talk, chance)


def _half_open(chance: random.Random, number: int) -> Iterator[Step]:
    """Data where the handshake is not whole, or not there."""
    talk = _talk(chance, number)
    for count in range(chance.choice((0, 1, 2))):
        yield sending(talk.tcp(SIDES[count % 2], ("S", "SA")[count % 2]))
    yield from burst(talk, chance, WARM // 4)
    yield Step("learn")
    yield from burst(talk, chance)
    yield sending(talk.tcp("server", "SA"))
    yield from burst(talk, chance)


def _both_open(chance: random.Random, number: int) -> Iterator[Step]:
    """Both ends open at once, then talk."""
    talk = _talk(chance, number)
    yield Step("hold")
    yield sending(talk.tcp("client", "S"))
    yield sending(talk.tcp("server", "S"))
    yield Step("release")
    yield sending(talk.tcp("client", "SA"))
    yield sending(talk.tcp("server", "SA"))
    for _ in range(WARM // 4):
        for side in SIDES:
            yield sending(*(talk.tcp(side, "A", talk.data()) for _ in range(4)))
    yield Step("learn")
    yield from burst(talk, chance)


def _forgotten(chance: random.Random, number: int) -> Iterator[Step]:
    """Connections are flushed while they talk."""
    talk = _talk(chance, number)
    yield from opened(talk)
    yield from burst(talk, chance)
    yield Step("forget")
    yield from burst(talk, chance)


def _between(*orders: Step) -> Callable[[random.Random, int], Iterator[Step]]:
    """Return an episode of two connections that talk before and after some orders."""

    def steps(chance: random.Random, number: int) -> Iterator[Step]:
        talks = [Talk(lane, number + n, chance) for n, lane in enumerate(("plain", "nat"))]
        for talk in talks:
            yield from opened(talk)
        for order in orders:
            for talk in talks:
                yield from burst(talk, chance, 2)
            yield order
            for talk in talks:
                yield from burst(talk, chance, 3)

    return steps


EPISODES: dict[str, Callable[[random.Random, int], Iterator[Step]]] = {
    "headers": _headers, "options and fragments": _options, "datagrams": _datagrams,
    "no checksum": _zero_checksums, "outer headers": _outer, "echoes": _echoes, "errors": _errors, "reuse": _reused,
    "half open": _half_open, "both open": _both_open, "flush": _forgotten,
    "port deletion": _between(Step("replug", words=("a", "v1")), Step("replug", words=("b", "v1"))),
    "rules": _between(*(Step("change", words=("b", f"{n}")) for n in (1, 2, 0))),
    "restart": _between(Step("restart", words=("a",))),
    "agent killed": _between(Step("kill", words=("a",))),
    "agent stopped": _between(
        Step("freeze", words=("b",)), Step("change", words=("b", "1")), Step("thaw", words=("b",)),
        Step("change", words=("b", "0")),
    ),
}  # fmt: skip


def _long(chance: random.Random, number: int) -> Iterator[Step]:
    """Connections that the fast path carries for longer than Open vSwitch keeps what it does not use."""
    for lane in ("plain", "nat", "vlan"):
        talk = Talk(lane, number, chance)
        yield from _answered(talk)
        for _ in range(40):
            yield Step("wait", words=("1",))
            for side in SIDES:
                yield sending(*(talk.udp(side, talk.data()) for _ in range(4)))


LONG: dict[str, Callable[[random.Random, int], Iterator[Step]]] = {
    "long talks": _long,
    "agent stopped for 10 s": _between(
        Step("freeze", words=("a",)), Step("wait", words=("10",)), Step("thaw", words=("a",))
    ),
}
"""Episodes that take so long that only hours have room for them."""
