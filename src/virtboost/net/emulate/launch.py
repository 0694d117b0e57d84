"""An emulation begun from outside: what must be there first, and namespaces that end with us."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, cast

import msgspec

from virtboost.errors import InputError, TransportError
from virtboost.net.emulate import bgpd, logical, switch
from virtboost.net.emulate.outcome import Emulation
from virtboost.net.emulate.scene import Scene
from virtboost.net.emulate.speaker import Software
from virtboost.net.emulate.stage import Done, Message, Said

PROGRAMS = ("ip", "mount", "nsenter", "setpriv", "unshare")

OF_DAEMONS: Mapping[Software, Sequence[str]] = {
    "bird": ("bird",),
    "frr": (bgpd.PROGRAM, "vtysh"),
    "ovs": switch.PROGRAMS,
    "ovn": (*switch.PROGRAMS, *logical.PROGRAMS),
    "felix": ("bridge", "etcd"),
}

OF_NODES = ("bird_memory", "switch_memory", "controller_memory")
"""Memory that each node needs, by key of what is expected."""

SYSTEM = ("/usr/sbin", "/sbin")
"""Where daemons are, which the paths of many users lack."""

OWN = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork",
       "--kill-child", "--mount-proc")  # fmt: skip
"""Ends when this process does, however that ends, and the kernel ends all in a PID namespace with
its first process."""

STAGE = ("-m", "virtboost.net.emulate.stage")

AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB", re.MULTILINE)


def emulate(scene: Scene, tell: Callable[[str], None]) -> Emulation:
    """Run a scene in namespaces of its own, which are gone when this returns.

    Args:
        scene: What to run.
        tell: Gets a line on how far it is.

    Raises:
        InputError: This machine cannot run it.
        TransportError: It failed.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM))
    _require(scene, path)
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            (*OWN, sys.executable, *STAGE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env={**os.environ, "PATH": path, "LC_ALL": "C"},
        ) as process,
    ):
        try:
            return _carry_on(process, scene, tell, errors)
        finally:
            process.kill()


def _carry_on(
    process: subprocess.Popen[bytes], scene: Scene, tell: Callable[[str], None], errors: IO[bytes]
) -> Emulation:
    given, told = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    with contextlib.suppress(BrokenPipeError):
        given.write(msgspec.json.encode(scene))
        given.close()
    for line in told:
        message = msgspec.json.decode(line, type=Message)
        if isinstance(message, Said):
            tell(message.text)
        elif isinstance(message, Done):
            return message.emulation
        else:
            raise TransportError("emulation", message.problem)
    errors.seek(0)
    last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
    raise TransportError("emulation", f"ended early: {''.join(last) or 'no message'}")


def _require(scene: Scene, path: str) -> None:
    """Refuse before anything starts."""
    if os.geteuid() != 0:
        raise InputError("an emulation makes network namespaces: only root can")
    daemons = sorted({speaker.daemon for speaker in scene.speakers})
    programs = [*itertools.chain(*(OF_DAEMONS[each] for each in daemons)), *PROGRAMS]
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if missing:
        raise InputError(
            f"not installed: {', '.join(missing)} (Debian: bird2, etcd-server, ethtool, frr, "
            "iproute2, openvswitch-switch, ovn-central, ovn-host, util-linux)"
        )
    daemons_bytes = (scene.expected[key].high or 0 for key in OF_NODES if key in scene.expected)
    needed = sum(daemons_bytes) * len(scene.speakers)
    found = AVAILABLE.search(Path("/proc/meminfo").read_text())
    if found and needed > int(found[1]) << 10:
        raise InputError(
            f"{len(scene.speakers)} daemons need {needed / (1 << 20):,.0f} MiB of memory, and "
            f"{int(found[1]) >> 10:,} are available: run fewer with --nodes"
        )
