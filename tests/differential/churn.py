"""Rules that change while frames pass: how long after a change a frame still follows the old rule."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter

from msgspec import Struct

from differential.compare import Difference
from differential.pipelines import CHANGED, MAC
from differential.script import Step, opened
from differential.talk import SIDES, Talk
from differential.tap import Frame
from differential.twin import Side
from differential.world import World
from support import churn

GAP_S = 0.0005
"""Between frames."""

SETTLED = 300
"""Frames of each direction until a connection has its fast path again."""

SLOWEST_NS = 10_000_000_000


class Churned(Struct, frozen=True, kw_only=True):
    """What a world did meanwhile."""

    stale_ms: tuple[float, ...]
    """For each change, how long after it the last frame went in that left by an older rule; 0 for none.

    From the switch's word that it has the rule to when the frame was given to the kernel, or later.
    """
    frames: Counter[bytes]
    """What came out, with the version taken out."""
    sent: int


class Change(Struct, frozen=True):
    """A version of the rule, and when the switch had it."""

    version: int
    time_ns: int


def churned(
    world: World,
    side: Side,
    *,
    changes: int,
    interval_s: float,
    after_s: float = 0.1,
    frozen: bool = False,
) -> Churned:
    """Send frames of one connection from a to b, whose rule writes a version into each.

    Args:
        world: In which this is done.
        side: Its fast path.
        changes: How many.
        interval_s: Between them.
        after_s: How long frames are sent after the last.
        frozen: b's agent is stopped, and hears of none.
    """
    talk = _opened(world, side)
    if frozen:
        side.freeze("b")
    sent = _sent(world, talk, changes, interval_s, after_s)
    if frozen:
        side.thaw("b")
    world.settle()
    came = [frame for frame in world.tap.taken() if frame.point == "b1"]
    return Churned(
        stale_ms=tuple(_stale(sent[0], sent[1], came)),
        frames=Counter(frame.data[:6] + frame.data[12:] for frame in came),
        sent=len(sent[1]),
    )


def forgotten(world: World, side: Side, *, flushes: int) -> list[float]:
    """Flush b's connections again and again; return how long after each, in milliseconds, the first
    frame went in that b took for the first of a connection."""
    talk = _opened(world, side)
    return [_until_new(world, talk) for _ in range(flushes)]


def _until_new(world: World, talk: Talk) -> float:
    """Wait until a connection has its fast path again, flush, and send until a frame is a new one's."""
    for _ in range(SETTLED):
        for each in SIDES:
            world.tap.send(*talk.tcp(each, "A", bytes(8)))
            time.sleep(GAP_S)
    world.settle()
    world.tap.taken()
    world.hosts["b"].app("dpctl/flush-conntrack")
    begin = time.monotonic_ns()
    times: dict[bytes, int] = {}
    while time.monotonic_ns() < begin + SLOWEST_NS:
        data = len(times).to_bytes(8, "big")
        world.tap.send(*talk.tcp("client", "A", data))
        times[data] = time.monotonic_ns()
        time.sleep(GAP_S)
        for frame in world.tap.taken():
            if frame.point == "b1" and not frame.data[6:12].hex(":").startswith(MAC[:11]):
                return (times[frame.data[-8:]] - begin) / 1e6
    raise Difference("a flush of the connections has no effect")


def _opened(world: World, side: Side) -> Talk:
    """Return a connection that has its fast path."""
    talk = Talk("plain", 1, random.Random(1))
    for step in opened(talk):
        _do(world, side, step)
    world.tap.taken()
    return talk


def _do(world: World, side: Side, step: Step) -> None:
    if step.kind == "learn":
        side.learn()
    for each in step.frames:
        world.tap.send(*each)
    world.settle()


def _sent(
    world: World, talk: Talk, changes: int, interval_s: float, after_s: float
) -> tuple[list[Change], dict[bytes, int]]:
    """Send as long as rules change; return the changes, and when each frame went in by its data."""
    bridge = str(world.hosts["b"].folder / "br-int.mgmt")
    actions = (churn.DEC_TTL, churn.set_source(f"{MAC[:11]}:VVVV"), churn.OUTPUT_1)
    words = (bridge, f"{CHANGED:#x}", str(changes), str(interval_s), *actions)
    changing = subprocess.Popen(
        (sys.executable, churn.__file__, *words), stdout=subprocess.PIPE, text=True
    )
    times: dict[bytes, int] = {}
    end = None
    while end is None or time.monotonic() < end:
        if end is None and changing.poll() is not None:
            end = time.monotonic() + after_s
        data = len(times).to_bytes(8, "big")
        frame = talk.tcp("client", "A", data)
        world.tap.send(*frame)
        times[data] = time.monotonic_ns()
        time.sleep(GAP_S)
    told, _ = changing.communicate()
    assert changing.returncode == 0
    return [Change(*map(int, line.split())) for line in told.splitlines()], times


def _stale(changes: list[Change], times: dict[bytes, int], came: list[Frame]) -> list[float]:
    """Return for each change the age of the last frame of an older version, in milliseconds."""
    found = [0.0] * len(changes)
    for frame in came:
        version, sent_ns = int.from_bytes(frame.data[10:12], "big"), times[frame.data[-8:]]
        for change in changes[version:]:
            if change.time_ns > sent_ns:
                break
            found[change.version - 1] = max(
                found[change.version - 1], (sent_ns - change.time_ns) / 1e6
            )
    return found
