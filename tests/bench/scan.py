"""How long a scan takes, beside ``lstopo`` and ``lscpu`` on the same tree."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.measure import Row, Used, in_turn, seconds, table, used
from support.captures import KUNPENG, unpacked
from support.sshd import free_ports, serving, virtboost, with_home
from virtboost.scan.host import scan
from virtboost.transport.recorded import RecordedReader

TITLE = "Scan"

RUNS = 15

HOSTS = 200
"""Loopback addresses that answer as hosts."""

MOST_ADDRESSES = 15
"""Of one server, besides the one that the tests' server always has."""

QUANTITIES: dict[str, tuple[str, Callable[[Used], float]]] = {
    "wall": ("ms", lambda run: 1e3 * run.wall_s),
    "CPU": ("ms", lambda run: 1e3 * run.cpu_s),
    "memory": ("MiB", lambda run: run.peak_bytes / (1 << 20)),
}
"""What of a run is told, and in what unit."""


def versions() -> Sequence[str]:
    """Return the versions of the peers."""
    return (
        _first_line("lstopo-no-graphics", "--version"),
        _first_line("lscpu", "--version"),
        _first_line("sh", "-c", "ssh -V 2>&1"),
    )


def _first_line(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def run() -> str:
    """Return the result as Markdown."""
    with tempfile.TemporaryDirectory(prefix="virtboost-") as folder:
        tree = unpacked(KUNPENG, Path(folder))
        rows = [
            *_start(),
            *_library(tree),
            *_commands("128-CPU capture", ("-H", str(tree)), tree),
            *_commands("this host", (), None),
            *_many(Path(folder)),
        ]
    return table(rows)


def _start() -> Iterator[Row]:
    """Yield how long the command takes to be there, beside the interpreter alone."""
    ours, python = in_turn(
        RUNS,
        lambda: used((sys.executable, "-c", "import virtboost.cli.main")),
        lambda: used((sys.executable, "-c", "pass")),
    )
    imports = tuple(1e3 * (a.wall_s - b.wall_s) for a, b in zip(ours, python, strict=True))
    yield Row(what="importing the command line", unit="ms", ours=imports, goal="under 120 ms")


def _library(tree: Path) -> Iterator[Row]:
    (times,) = in_turn(RUNS, lambda: seconds(lambda: scan(RecordedReader(tree))))
    yield Row(
        what="128-CPU capture, library, warm",
        unit="ms",
        ours=tuple(1e3 * each for each in times),
        goal="under 100 ms",
    )


def _commands(what: str, hosts: Sequence[str], tree: Path | None) -> Iterator[Row]:
    lstopo = ["lstopo-no-graphics", "--no-io", "--of", "xml"]
    lscpu = ["lscpu", "-J"]
    environment = {}
    if tree is not None:
        environment = {"HWLOC_FSROOT": str(tree), "HWLOC_THISSYSTEM": "0"}
        lscpu += ["--sysroot", str(tree)]
    runs: list[Callable[[], Used]] = [
        lambda: used(virtboost("scan", "--json", *hosts)),
        lambda: used(lstopo, environment),
        lambda: used(lscpu),
    ]
    ours, *peers = in_turn(RUNS, *runs)
    for name, theirs in zip(("lstopo --no-io", "lscpu -J"), peers, strict=True):
        for quantity, (unit, value) in QUANTITIES.items():
            yield Row(
                what=f"{what}, command, {quantity}",
                unit=unit,
                ours=tuple(map(value, ours)),
                peer=name,
                peers=tuple(map(value, theirs)),
                goal="under 400 ms" if tree and quantity == "wall" else "",
            )


def _many(folder: Path) -> Iterator[Row]:
    """Yield hosts per second over SSH, beside ``xargs -P`` and an ``ssh`` that runs ``lscpu``."""
    with ExitStack() as stack:
        addresses = _servers(folder, stack)
        flags = [word for address in addresses for word in ("-H", f"ssh://{address}")]
        peer = f"printf '%s\\n' {' '.join(addresses)} | xargs -P 32 -I@ ssh ssh://@ lscpu"
        ours = used((*with_home(folder), *virtboost("scan", "--json", *flags)))
        theirs = used((*with_home(folder), "sh", "-c", peer))
    yield Row(
        what=f"{HOSTS} hosts over SSH",
        unit="hosts/s",
        ours=(HOSTS / ours.wall_s,),
        peer="xargs -P 32 ssh HOST lscpu",
        peers=(HOSTS / theirs.wall_s,),
    )


def _servers(folder: Path, stack: ExitStack) -> list[str]:
    """Start servers on ``HOSTS`` addresses that the user whose home is ``folder`` may enter.

    One server listens on no more than 16 addresses (OpenSSH's MAX_LISTEN_SOCKS).
    """
    (port,) = free_ports(1)
    config = folder / ".ssh" / "config"
    config.parent.mkdir(mode=0o700)
    for first in range(1, HOSTS + 1, MOST_ADDRESSES):
        here = folder / f"sshd-{first}"
        here.mkdir()
        addresses = [_address(n) for n in range(first, min(first + MOST_ADDRESSES, HOSTS + 1))]
        listen = "".join(f"ListenAddress {address}:{port}\n" for address in addresses)
        server = stack.enter_context(serving(here, {"": ""}, f"{listen}MaxStartups 500\n"))
        host_key = (here / "host.pub").read_text()
        server.known_hosts.write_text("".join(f"[{a}]:{port} {host_key}" for a in addresses))
        with config.open("a") as file:
            file.write(
                f"Host {' '.join(addresses)}\n  IdentityFile {server.key}\n  IdentitiesOnly yes\n"
                f"  UserKnownHostsFile {server.known_hosts}\n"
            )
    return [f"{_address(number)}:{port}" for number in range(1, HOSTS + 1)]


def _address(number: int) -> str:
    return f"127.0.1.{number}"
