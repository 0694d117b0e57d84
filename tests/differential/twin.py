"""Two worlds in step: each step goes into both, and is over when both gave the same frames."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from differential.compare import Difference, keep, of_connections, of_frames
from differential.script import Episode, Step
from differential.tap import Frame
from differential.world import World

GRACE_S = 0.6
"""After a change that nobody is told of: the lease of 500 ms, and what it takes to sleep."""


class Side(Protocol):
    """What makes the second world fast."""

    def ready(self) -> None:
        """Have a fast path in front of both hosts."""

    def learn(self) -> None:
        """Wait, but not for ever, until open connections have their fast path."""

    def kill(self, host: str) -> None:
        """End it with SIGKILL, and begin again with the next ``ready``."""

    def freeze(self, host: str) -> None:
        """Stop it with SIGSTOP."""

    def thaw(self, host: str) -> None:
        """Let it go on."""


class Nothing:
    """No fast path: the null experiment, stock beside stock."""

    def ready(self) -> None:
        """There is nothing to wait for."""

    learn = ready

    def kill(self, host: str) -> None:
        """There is nothing to end."""

    freeze = thaw = kill


class Twin:
    """The worlds, and what they gave in this episode."""

    def __init__(
        self,
        stock: World,
        fast: World,
        side: Side,
        folder: Path,
        *,
        late_s: float = 2,
        grace_s: float = GRACE_S,
    ) -> None:
        """Take two worlds.

        Args:
            stock: The one that is right.
            fast: The one that is held against it.
            side: What makes it fast.
            folder: For captures.
            late_s: How long a frame may be missing, or a connection be another.
            grace_s: How long the fast path may take to notice what it is not told of.
        """
        self._late_s, self._grace_s = late_s, grace_s
        self._worlds, self._side, self._folder = (stock, fast), side, folder
        self._kept: tuple[list[Frame], list[Frame]] = ([], [])
        self.frames = 0

    def run(self, episode: Episode) -> None:
        """Carry an episode out.

        Raises:
            Difference: The worlds are not alike; both captures are in the folder.
        """
        self._kept[0].clear()
        self._kept[1].clear()
        for world in self._worlds:
            world.forget()
        self._side.ready()
        for number, step in enumerate(episode.steps):
            self._do(step)
            self._hold_against(f"{episode.name}, step {number} ({step.kind})", step)
        self._hold_connections(episode.name)

    def _do(self, step: Step) -> None:
        match step.kind:
            case "send":
                self._send(step)
            case "learn":
                self._side.learn()
            case "kill" | "freeze" | "thaw":
                getattr(self._side, step.kind)(*step.words)
            case "wait":
                time.sleep(float(step.words[0]))
            case "hold" | "release":
                self._in_both(step)
            case _:
                self._in_both(step)
                time.sleep(self._grace_s)

    def _send(self, step: Step) -> None:
        for end, frame in step.frames:
            for world in self._worlds:
                world.tap.send(end, frame)
        self.frames += len(step.frames)

    def _in_both(self, step: Step) -> None:
        for world in self._worlds:
            getattr(world, step.kind)(*step.words)

    def _hold_against(self, where: str, step: Step) -> None:
        try:
            for world in self._worlds:
                world.settle()
        except Difference as stuck:
            self._fail(where, [str(stuck)])
        news: tuple[list[Frame], list[Frame]] = ([], [])
        limit = time.monotonic() + self._late_s
        while True:
            for world, frames in zip(self._worlds, news, strict=True):
                frames.extend(world.tap.taken())
            found = of_frames(*news)
            if not found or time.monotonic() > limit:
                break
            time.sleep(0.01)
        for kept, frames in zip(self._kept, news, strict=True):
            kept.extend(frames)
        if found:
            sent = [f"in: {end}: {frame.hex()}" for end, frame in step.frames]
            self._fail(where, [*sent, *found])

    def _hold_connections(self, name: str) -> None:
        limit = time.monotonic() + self._late_s
        while found := of_connections(*(world.connections() for world in self._worlds)):
            if time.monotonic() > limit:
                self._fail(f"{name}, connections", found)
            time.sleep(0.1)

    def _fail(self, where: str, found: list[str]) -> None:
        for name, frames in zip(("stock", "fast"), self._kept, strict=True):
            keep(self._folder, name, frames)
        raise Difference("\n".join((where, *found)))
