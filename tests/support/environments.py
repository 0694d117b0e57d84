"""Python environments of peers whose packages are not the product's, made once and kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.captures import ROOT

KEPT = ROOT / "build"

PEERS = ROOT.parent / "shared" / "peers"


def nova() -> str:
    """Return the interpreter of an environment with Nova and placement.

    Raises:
        subprocess.CalledProcessError: It cannot be made.
    """
    folder = KEPT / "nova"
    return _made(folder, (str(PEERS / "nova" / "make_venv.sh"), str(folder)))


def ovirt() -> str:
    """Return the interpreter of an environment with the SDK of oVirt, which a compiler builds.

    Raises:
        subprocess.CalledProcessError: It cannot be made.
    """
    folder = KEPT / "ovirt"
    pins = PEERS / "ovirt" / "pins.txt"
    make = f'"{sys.executable}" -m venv "$1" && "$1/bin/pip" install --quiet --requirement "$2"'
    return _made(folder, ("sh", "-c", make, "sh", str(folder), str(pins)))


def _made(folder: Path, make: tuple[str, ...]) -> str:
    whole = folder / "whole"
    if not whole.exists():
        folder.parent.mkdir(exist_ok=True)
        subprocess.run(("rm", "-rf", str(folder)), check=True)
        subprocess.run(make, check=True, capture_output=True, timeout=900)
        whole.touch()
    return str(folder / "bin" / "python")
