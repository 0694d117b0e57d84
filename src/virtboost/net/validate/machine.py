"""What this machine is, and where what was measured on it is kept."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import msgspec

from virtboost.errors import InputError
from virtboost.net.emulate.apart import search_path
from virtboost.net.validate.calibration import Calibration, Machine, hardware_key
from virtboost.transport.recorded import write_whole

NAMES = ("model name", "CPU part", "Processor")
"""Of what ``/proc/cpuinfo`` calls the model, by architecture."""


def this_machine() -> Machine:
    """Return what this machine is."""
    host = platform.uname()
    system = platform.freedesktop_os_release().get("PRETTY_NAME", host.system)
    return Machine(
        cpu=_model(),
        cpus=os.cpu_count() or 1,
        architecture=host.machine,
        system=system,
        kernel=host.release,
        bird=_bird(),
    )


def _bird() -> str:
    """Return the version of BIRD that is installed; empty: there is none."""
    path = search_path()
    program = shutil.which("bird", path=path)
    if program is None:
        return ""
    done = subprocess.run((program, "--version"), capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).split()[-1]


def _model() -> str:
    lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    found = {name.strip(): value.strip() for name, _, value in lines}
    return next((found[name] for name in NAMES if name in found), "unknown")


def _place(folder: Path, key: str) -> Path:
    """Return the file of a machine's calibration, among those of others."""
    return folder / f"net-{key}.json"


def save(folder: Path, found: Calibration) -> Path:
    """Keep a calibration, with what those before it told and it does not; return where.

    Raises:
        InputError: It cannot be written.
    """
    path = _place(folder, found.machine.key)
    with suppress(InputError):
        found = found.beside(_read(path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def kept(folder: Path) -> Calibration | None:
    """Return the calibration of this machine; None: it has none.

    Raises:
        InputError: What is there is none.
    """
    return _read(_place(folder, hardware_key(_model(), os.cpu_count() or 1, platform.machine())))


def _read(path: Path) -> Calibration | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Calibration)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: no calibration: {error}; remove it, or measure anew") from error
