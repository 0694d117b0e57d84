"""Namespaces with an address each on one bridge; all of it goes with the last process in them.

Neighbours are permanent: the kernel counts and drops learned ones for all namespaces together
(``gc_thresh3``, 1,024), and its limit is the host's, which is not touched.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from virtboost.net.emulate.scene import Scene, Speaker

RUN = Path("/run")

SPACES = RUN / "netns"

CLONE_NEWNET = 0x40000000
"""``linux/sched.h``."""


class SpaceError(Exception):
    """A namespace could not be made or entered."""


def build(scene: Scene) -> None:
    """Make the namespaces, in a mount and a network namespace of this process's own.

    Raises:
        SpaceError: The kernel refuses.
    """
    own_run()
    SPACES.mkdir()
    _batch((), [f"netns add {name(place)}" for place in range(len(scene.speakers))])
    for place in range(len(scene.speakers)):
        with inside(place):
            _settle()
    _settle()
    _batch((), _hub(scene))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda place: _furnish(scene, place), range(len(scene.speakers))))


def own_run() -> None:
    """Have an empty ``/run`` that only this process's mount namespace sees.

    Raises:
        SpaceError: The kernel refuses.
    """
    _run(("mount", "-t", "tmpfs", "none", str(RUN)))


def name(place: int) -> str:
    """Return the name of a speaker's namespace, known to this mount namespace only."""
    return f"n{place}"


def port(place: int) -> str:
    """Return the end of a speaker's link that is on the bridge."""
    return f"p{place}"


def set_link(place: int, state: str) -> None:
    """Cut a speaker's link (``down``), or mend it (``up``)."""
    _run(("ip", "link", "set", port(place), state))


@contextmanager
def inside(place: int) -> Iterator[None]:
    """Be in a speaker's network namespace: sockets that are made there stay there."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        there = os.open(SPACES / name(place), os.O_RDONLY)
        try:
            _enter(there)
        finally:
            os.close(there)
        yield
    finally:
        _enter(own)
        os.close(own)


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise SpaceError(f"setns: {os.strerror(ctypes.get_errno())}")


def _settle() -> None:
    """Leave out IPv6, whose discovery is no part of it, and the filter for ways there and back."""
    for path, value in (
        ("ipv6/conf/all/disable_ipv6", "1"),
        ("ipv6/conf/default/disable_ipv6", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
    ):
        file = Path("/proc/sys/net") / path
        if file.exists():
            file.write_text(value)


def _hub(scene: Scene) -> Iterator[str]:
    yield "link add br0 type bridge mcast_snooping 0"
    yield "link set br0 up"
    for place in range(len(scene.speakers)):
        far = (
            f"peer name eth0 address {_hardware_address(place)} mtu {scene.mtu} netns {name(place)}"
        )
        yield f"link add {port(place)} mtu {scene.mtu} type veth {far}"
        yield f"link set {port(place)} master br0 up"


def _furnish(scene: Scene, place: int) -> None:
    batch(place, _node(scene, place, scene.speakers[place]))


def _node(scene: Scene, place: int, own: Speaker) -> Iterator[str]:
    """Yield what is in a namespace: every address of a block is the node's, as those of pods."""
    yield "link set lo up"
    yield "link set eth0 up"
    yield f"address add {own.address}/{scene.prefix} dev eth0"
    for block in own.blocks:
        yield f"route add blackhole {block}"
        yield f"route add local {block} dev lo"
    for other, speaker in enumerate(scene.speakers):
        if other != place:
            yield neighbour(speaker.address, other)


def _hardware_address(place: int) -> str:
    return f"02:00:00:00:{place >> 8:02x}:{place & 255:02x}"


def neighbour(address: str, place: int) -> str:
    """Return the line that says behind which speaker's link an address is."""
    return f"neigh add {address} lladdr {_hardware_address(place)} dev eth0 nud permanent"


def batch(place: int, lines: Iterable[str]) -> None:
    """Have ``ip`` carry lines out in a speaker's namespace.

    Raises:
        SpaceError: It refuses one.
    """
    _batch(("-n", name(place)), lines)


def _batch(options: Sequence[str], lines: Iterable[str]) -> None:
    _run(("ip", *options, "-batch", "-"), "".join(f"{line}\n" for line in lines))


def _run(argv: Sequence[str], text: str = "") -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        first = done.stderr.strip().splitlines()[:1] or ["no message"]
        raise SpaceError(f"{argv[0]}: {first[0]}")
