"""An emulation begun from outside: what must be there first, and what others did to it."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from msgspec import structs

from virtboost.errors import InputError
from virtboost.net.emulate import frr, logical, switch
from virtboost.net.emulate.apart import Tell, begun, require_root, search_path
from virtboost.net.emulate.outcome import Emulation, judged
from virtboost.net.emulate.scene import Scene
from virtboost.net.emulate.speaker import Software

PROGRAMS = ("ip", "mount", "nsenter", "setpriv", "unshare")

OF_DAEMONS: Mapping[Software, Sequence[str]] = {
    "bird": ("bird",),
    "frr": frr.PROGRAMS,
    "ovs": switch.PROGRAMS,
    "ovn": (*switch.PROGRAMS, *logical.PROGRAMS),
    "felix": ("bridge", "etcd"),
}

OF_NODES = ("bird_memory", "switch_memory", "controller_memory")
"""Memory that each node needs, by key of what is expected."""

PACKAGES = (
    dict.fromkeys(("mount", "nsenter", "setpriv", "unshare"), "util-linux")
    | {"bird": "bird2", "etcd": "etcd-server", "ethtool": "ethtool", "ovn-controller": "ovn-host"}
    | dict.fromkeys(("bridge", "ip"), "iproute2")
    | dict.fromkeys(("ovn-nbctl", "ovn-northd", "ovn-sbctl"), "ovn-central")
    | dict.fromkeys(frr.PROGRAMS, "frr")
    | dict.fromkeys(
        ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl"),
        "openvswitch-switch",
    )
)
"""Debian's, by program."""

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
    (found,) = emulate_together((scene,), tell)
    return found


def emulate_together(scenes: Sequence[Scene], tell: Tell) -> list[Emulation]:
    """Run scenes side by side; see ``emulate``."""
    for scene in scenes:
        _require(scene)
    full = _tables_full()
    with ExitStack() as stack:
        runs = [stack.enter_context(begun(STAGE, msgspec.json.encode(each))) for each in scenes]
        results = [msgspec.json.decode(run.result(tell), type=Emulation) for run in runs]
    full = _tables_full() - full
    return [_finished(each, full) for each in results]


def _finished(found: Emulation, tables_full: int) -> Emulation:
    losses = structs.replace(found.losses, neighbours=tables_full)
    return judged(structs.replace(found, losses=losses))


def _tables_full() -> int:
    """Return how often the kernel found no room for a neighbour; it tells in its first namespace.

    Source: ``net/core/neighbour.c``, neigh_stat_seq_show: in hexadecimal, for each CPU.
    """
    file = Path("/proc/net/stat/arp_cache")
    if not file.exists():
        return 0
    names, *rows = (line.split() for line in file.read_text().splitlines())
    return sum(int(row[names.index("table_fulls")], 16) for row in rows)


def require_programs(*programs: str) -> None:
    """Refuse where some are not installed.

    Raises:
        InputError: With those.
    """
    path = search_path()
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if missing:
        packages = ", ".join(sorted({PACKAGES[program] for program in missing}))
        raise InputError(f"not installed: {', '.join(missing)} (Debian: {packages})")


def _require(scene: Scene) -> None:
    """Refuse before anything starts."""
    require_root()
    daemons = sorted({speaker.daemon for speaker in scene.speakers})
    require_programs(*itertools.chain(*(OF_DAEMONS[each] for each in daemons)), *PROGRAMS)
    daemons_bytes = (scene.expected[key].high or 0 for key in OF_NODES if key in scene.expected)
    needed = sum(daemons_bytes) * len(scene.speakers)
    found = AVAILABLE.search(Path("/proc/meminfo").read_text())
    if found and needed > int(found[1]) << 10:
        raise InputError(
            f"{len(scene.speakers)} daemons need {needed / (1 << 20):,.0f} MiB of memory, and "
            f"{int(found[1]) >> 10:,} are available: run fewer with --nodes"
        )
