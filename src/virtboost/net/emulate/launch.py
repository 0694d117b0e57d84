"""An emulation begun from outside: what must be there first, and what others did to it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec

from virtboost.errors import InputError
from virtboost.net.emulate import bgpd
from virtboost.net.emulate.apart import Tell, apart, require_root, search_path
from virtboost.net.emulate.outcome import Emulation, judged
from virtboost.net.emulate.scene import Scene

PROGRAMS = ("bird", "ip", "mount", "nsenter", "setpriv", "unshare")

STAGE = "virtboost.net.emulate.stage"

AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB", re.MULTILINE)


def emulate(scene: Scene, tell: Tell) -> Emulation:
    """Run a scene in namespaces of its own, which are gone when this returns.

    Args:
        scene: What to run.
        tell: Gets a line on how far it is.

    Raises:
        InputError: This machine cannot run it.
        TransportError: It failed.
    """
    _require(scene, search_path())
    full = _tables_full()
    found = msgspec.json.decode(apart(STAGE, msgspec.json.encode(scene), tell), type=Emulation)
    losses = msgspec.structs.replace(found.losses, neighbours=_tables_full() - full)
    return judged(msgspec.structs.replace(found, losses=losses))


def _tables_full() -> int:
    """Return how often the kernel found no room for a neighbour; it tells in its first namespace.

    Source: ``net/core/neighbour.c``, neigh_stat_seq_show: in hexadecimal, for each CPU.
    """
    file = Path("/proc/net/stat/arp_cache")
    if not file.exists():
        return 0
    names, *rows = (line.split() for line in file.read_text().splitlines())
    return sum(int(row[names.index("table_fulls")], 16) for row in rows)


def _require(scene: Scene, path: str) -> None:
    """Refuse before anything starts."""
    require_root()
    programs = list(PROGRAMS)
    if any(speaker.daemon == "frr" for speaker in scene.speakers):
        programs += [bgpd.PROGRAM, "vtysh"]
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if missing:
        raise InputError(
            f"not installed: {', '.join(missing)} (Debian: bird2, frr, iproute2, util-linux)"
        )
    needed = (scene.expected["bird_memory"].high or 0) * len(scene.speakers)
    found = AVAILABLE.search(Path("/proc/meminfo").read_text())
    if found and needed > int(found[1]) << 10:
        raise InputError(
            f"{len(scene.speakers)} daemons need {needed / (1 << 20):,.0f} MiB of memory, and "
            f"{int(found[1]) >> 10:,} are available: run fewer with --nodes"
        )
