"""Changing 500 settings and taking them back, beside TuneD with a profile of the same settings."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.measure import Row, in_turn, table
from support.daemon import ask, wait_until
from support.sshd import serving, virtboost
from virtboost.apply.execute import apply, undo
from virtboost.apply.journal import Journal
from virtboost.model.change import Sysctl
from virtboost.model.document import to_json
from virtboost.model.plan import Plan
from virtboost.transport.local import LocalReader
from virtboost.transport.ssh import SshReader
from virtboost.transport.writer import local_writer, ssh_writer

TITLE = "Apply and undo: 500 settings"

COUNT, RUNS = 500, 9

PAIRS = 20
"""Pairs of virtual interfaces, each end with the sysctls below."""

NAMES = (
    *("delay_first_probe_time", "base_reachable_time_ms", "gc_stale_time", "locktime"),
    *("mcast_solicit", "proxy_delay", "proxy_qlen", "app_solicit", "ucast_solicit", "unres_qlen"),
    *("retrans_time_ms", "mcast_resolicit", "anycast_delay"),
)
"""Below ``net.ipv4.neigh.INTERFACE``; 1000 more is a value that each takes as it is."""

PROFILE = "virtboost-bench"


def versions() -> Sequence[str]:
    """Return the versions of the peers."""
    ssh = subprocess.run(("ssh", "-V"), capture_output=True, text=True, check=True)
    return ask("tuned", "--version"), ssh.stderr.strip()


def run() -> str:
    """Measure the commands of both, and ours over SSH."""
    with interfaces() as names, tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        settings = [f"net.ipv4.neigh.{nic}.{name}" for nic in names for name in NAMES]
        wanted = {name: str(value_of(name) + 1000) for name in settings[:COUNT]}
        ours, theirs = in_turn(
            RUNS, lambda: by_us(folder, wanted), lambda: by_tuned(folder, wanted)
        )
        (inside,) = in_turn(RUNS, lambda: in_process(folder, wanted))
        remote = over_ssh(folder, wanted)
    return table(
        [
            Row(
                what="apply, then undo, this machine",
                unit="s",
                ours=tuple(ours),
                peer="TuneD, started with the profile, then stopped",
                peers=tuple(theirs),
            ),
            Row(what="the same, library", unit="s", ours=tuple(inside)),
            Row(what="the same over SSH", unit="s", ours=tuple(each[0] for each in remote)),
            Row(
                what="round trips for each change, both ways",
                unit="",
                ours=tuple(each[1] / COUNT for each in remote),
                goal="not one for each file",
            ),
        ]
    )


@contextmanager
def interfaces() -> Iterator[list[str]]:
    """Have some interfaces, which are gone afterwards."""
    pairs = [(f"vbbench{number}a", f"vbbench{number}b") for number in range(PAIRS)]
    try:
        for one, other in pairs:
            ask("ip", "link", "add", one, "type", "veth", "peer", "name", other)
        yield [name for pair in pairs for name in pair]
    finally:
        for one, _ in pairs:
            subprocess.run(("ip", "link", "delete", one), check=False, capture_output=True)


def value_of(name: str) -> int:
    return int(Path("/proc/sys", name.replace(".", "/")).read_text())


def holds(wanted: Mapping[str, str]) -> bool:
    return all(value_of(name) == int(value) for name, value in wanted.items())


def by_us(folder: Path, wanted: Mapping[str, str]) -> float:
    """Return how long both commands take."""
    plan = folder / "plan.json"
    changes = tuple(Sysctl(name=name, value=value) for name, value in wanted.items())
    plan.write_text(to_json(Plan(hostname=socket.gethostname(), changes=changes)))
    state = ("env", f"XDG_STATE_HOME={folder / 'state'}", "PYTHONDONTWRITEBYTECODE=")
    begin = time.perf_counter()
    ask(*state, *virtboost("apply", str(plan), "--yes"))
    between = time.perf_counter()
    assert holds(wanted)
    again = time.perf_counter()
    ask(*state, *virtboost("undo"))
    end = time.perf_counter()
    assert not holds(wanted)
    return between - begin + end - again


def in_process(folder: Path, wanted: Mapping[str, str]) -> float:
    changes = [Sysctl(name=name, value=value) for name, value in wanted.items()]
    reader, writer, journal = LocalReader(), local_writer(), Journal(folder / "library")
    begin = time.perf_counter()
    made = apply(reader, writer, journal, changes, hostname=None)
    assert made is not None
    undo(reader, writer, journal, made, force=False)
    return time.perf_counter() - begin


def by_tuned(folder: Path, wanted: Mapping[str, str]) -> float:
    """Return how long TuneD takes to set its profile, and to stop, which sets the old values."""
    profile = Path("/etc/tuned", PROFILE)
    profile.mkdir(exist_ok=True)
    lines = "".join(f"{name}={value}\n" for name, value in wanted.items())
    (profile / "tuned.conf").write_text(f"[main]\nsummary=benchmark\n[sysctl]\n{lines}")
    log = folder / "tuned.log"
    log.unlink(missing_ok=True)
    words = ("tuned", "--no-dbus", "--no-socket", f"--log={log}", f"--profile={PROFILE}")
    try:
        begin = time.perf_counter()
        daemon = subprocess.Popen((*words, f"--pid={folder / 'tuned.pid'}"))
        wait_until(lambda: log.exists() and " applied" in log.read_text(), 60, log.read_text)
        between = time.perf_counter()
        assert holds(wanted)
        again = time.perf_counter()
        daemon.terminate()
        daemon.wait(60)
        end = time.perf_counter()
    finally:
        shutil.rmtree(profile)
    assert not holds(wanted)
    return between - begin + end - again


def over_ssh(folder: Path, wanted: Mapping[str, str]) -> list[tuple[float, int]]:
    """Return seconds and round trips of each apply and undo over one SSH connection."""
    place = folder / "sshd"
    place.mkdir()
    changes = [Sysctl(name=name, value=value) for name, value in wanted.items()]
    found = []
    with serving(place, {"plain": ""}) as server:
        reader = SshReader("ssh://plain", config=server.config)
        writer, journal = ssh_writer(reader), Journal(folder / "journal")
        for _ in range(RUNS):
            before, begin = server.sessions, time.perf_counter()
            made = apply(reader, writer, journal, changes, hostname=None)
            assert made is not None
            undo(reader, writer, journal, made, force=False)
            found.append((time.perf_counter() - begin, server.sessions - before))
    return found
