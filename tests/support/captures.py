"""Recordings of hosts that tests read: the project's own, and others' that lie beside it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import zstandard

ROOT = Path(__file__).parents[2]

HOSTS = ROOT / "tests" / "hosts"
"""Recordings that the project made: ``NAME/host.tar.zst`` beside ``host.toml``."""

CAPTURES = ROOT.parent / "shared" / "captures"
"""Trees of hwloc's test suite; not part of the project."""

MISSING = f"{CAPTURES} is not there"

KUNPENG = CAPTURES / "kunpeng920-2s-4n-128c.tar.bz2"
"""A Kunpeng 920 with 2 sockets, 4 NUMA nodes, 32 CPU clusters and 128 CPUs."""


def archives() -> list[Path]:
    """Return every recording."""
    found = [*HOSTS.glob("*/host.tar*"), *CAPTURES.glob("*.tar*")]
    return sorted(found)


def unpacked(archive: Path, folder: Path) -> Path:
    """Unpack an archive, as GNU tar does it, and return the directory that holds ``sys``."""
    if archive.suffix == ".zst":
        with archive.open("rb") as file:
            content = zstandard.ZstdDecompressor().stream_reader(file).read()
        subprocess.run(("tar", "-x", "-C", str(folder)), input=content, check=True)
    else:
        subprocess.run(("tar", "-x", "-C", str(folder), "-f", str(archive)), check=True)
    if (folder / "sys").is_dir():
        return folder
    return next(below for below in folder.iterdir() if (below / "sys").is_dir())


def name_of(archive: Path | None) -> str:
    """Return what a test calls a recording; None is this machine."""
    if archive is None:
        return "live"
    return archive.name.split(".")[0] if archive.parent == CAPTURES else archive.parent.name
