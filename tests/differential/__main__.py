"""``python -m differential``: episodes for hours, until one differs; a seed replays them."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from differential.pipelines import DEVICES
from differential.script import Episode, episodes
from differential.twin import Nothing, Twin
from differential.world import world
from support.accelerated import agents


def main() -> int:
    """Run episodes; 1 if the worlds differ, and then both captures are kept."""
    asked = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # with what was started
    seed = secrets.randbits(32) if asked.seed is None else asked.seed
    asked.keep.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"seed {seed}\n")
    with TemporaryDirectory(prefix="virtboost-") as folder:
        with (
            world(Path(folder) / "stock") as stock,
            world(Path(folder) / "fast") as fast,
            agents(fast.hosts, DEVICES) as side,
        ):
            twin = Twin(stock, fast, Nothing() if asked.null else side, asked.keep)
            for number, each in chosen(seed, only=asked.episode, minutes=asked.minutes):
                try:
                    twin.run(each)
                except AssertionError as found:  # a difference, or an agent that ended
                    (asked.keep / "difference.txt").write_text(f"seed {seed}, {number}: {found}\n")
                    sys.stdout.write(f"{found}\nkept in {asked.keep}; to run it again:\n")
                    sys.stdout.write(f"  make soak-flow SOAK='--seed {seed} --episode {number}'\n")
                    return 1
                sys.stdout.write(
                    f"{number}: {each.name}: the same; {twin.frames:,} frames in, "
                    f"{side.packets():,} times past a switch\n"
                )
                sys.stdout.flush()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make soak-flow")
    parser.add_argument("--seed", type=int, help="of an earlier run")
    parser.add_argument("--episode", type=int, help="that one alone, of the seed")
    parser.add_argument("--null", action="store_true", help="no fast path: stock beside stock")
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--keep", type=Path, default=Path("build/soak"), help="folder for captures")
    return parser


def chosen(seed: int, *, only: int | None, minutes: float) -> Iterator[tuple[int, Episode]]:
    """Yield the episodes of a seed with their numbers: as long as there is time, or one."""
    end = time.monotonic() + 60 * minutes
    for number, each in enumerate(episodes(seed)):
        if only is None and time.monotonic() > end:
            return
        if only is None or number == only:
            yield number, each
        if number == only:
            return


if __name__ == "__main__":
    sys.exit(main())
