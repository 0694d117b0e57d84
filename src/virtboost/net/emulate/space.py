"""Namespaces of nodes on one bridge, and of containers; they go with the last process in them.

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

from virtboost.net.emulate.scene import Scene
from virtboost.net.emulate.speaker import (
    BRIDGE_MAC,
    DATASTORE,
    GATEWAY_MAC,
    POD_GATEWAY,
    End,
    Speaker,
    node_mac,
    uplink_mac,
)

RUN = Path("/run")

SPACES = RUN / "netns"

CLONE_NEWNET = 0x40000000
"""``linux/sched.h``."""


POD_TABLE = 100
"""Of routes to a node's own pods."""

FRR_LOGS = "/var/tmp"
"""Where FRR's daemons have folders for their last words (``lib/zlog.c``), and leave them."""

SWITCHED = ("ovs", "ovn")
"""What has a node's link, address and ports to itself."""

WHOLE_CHECKSUMS = "ethtool -K {} tx off"
"""Of packets that a switch in user space takes: it does not complete what the kernel left out."""


class SpaceError(Exception):
    """A namespace could not be made or entered."""


def build(scene: Scene) -> None:
    """Make the namespaces, in a mount and a network namespace of this process's own.

    Raises:
        SpaceError: The kernel refuses.
    """
    own_run()
    if any(speaker.daemon == "frr" for speaker in scene.speakers):
        _run(("mount", "-t", "tmpfs", "none", FRR_LOGS))
    SPACES.mkdir()
    places = [*_places(scene)]
    _batch((), [f"netns add {name(*each)}" for each in places])
    for each in places:
        with inside(*each):
            _settle()
    _settle()
    for segment in sorted({speaker.segment for speaker in scene.speakers}):
        _batch((), _hub(scene, segment))
    if any(speaker.daemon == "ovn" for speaker in scene.speakers):
        _run(WHOLE_CHECKSUMS.format("br0").split())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda place: _furnish(scene, place), range(len(scene.speakers))))


def own_run() -> None:
    """Have an empty ``/run`` that only this process's mount namespace sees.

    Raises:
        SpaceError: The kernel refuses.
    """
    _run(("mount", "-t", "tmpfs", "none", str(RUN)))


def _places(scene: Scene) -> Iterator[tuple[int, int | None]]:
    for place, speaker in enumerate(scene.speakers):
        yield place, None
        yield from ((place, end) for end, _ in enumerate(speaker.ends))


def name(place: int, end: int | None = None) -> str:
    """Return the name of a speaker's namespace, or of an end's; this mount namespace knows it."""
    return f"n{place}" if end is None else f"n{place}e{end}"


def port(place: int) -> str:
    """Return the end of a speaker's link that is on the bridge."""
    return f"p{place}"


def uplink_port(place: int) -> str:
    """Return the end of a switch's link to the fabric that is on the bridge."""
    return f"u{place}"


def set_links(place: int, own: Speaker, state: str) -> None:
    """Cut a speaker's links (``down``), or mend them (``up``)."""
    for each in (port(place), uplink_port(place)) if own.uplink else (port(place),):
        _run(("ip", "link", "set", each, state))


@contextmanager
def inside(place: int, end: int | None = None) -> Iterator[None]:
    """Be in the network namespace of a speaker, or of an end: sockets that are made stay there."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        there = os.open(SPACES / name(place, end), os.O_RDONLY)
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
    """Leave out IPv6, whose discovery is no part of it, and what goes against routes.

    That is the filter for ways there and back, and a router's word that there is a shorter one.
    """
    for path, value in (
        ("ipv6/conf/all/disable_ipv6", "1"),
        ("ipv6/conf/default/disable_ipv6", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/default/send_redirects", "0"),
    ):
        file = Path("/proc/sys/net") / path
        if file.exists():
            file.write_text(value)


def _hub(scene: Scene, segment: int) -> Iterator[str]:
    """Yield a bridge, and the links of speakers that are on it."""
    bridge = f"br{segment}"
    yield "link set lo up"
    yield f"link add {bridge} address {BRIDGE_MAC} type bridge mcast_snooping 0"
    yield f"link set {bridge} up"
    for place, speaker in enumerate(scene.speakers):
        if speaker.segment == segment:
            yield from _link(scene, port(place), bridge, place, f"eth0 address {node_mac(place)}")
        elif speaker.uplink and not segment:
            far = f"eth1 address {uplink_mac(place)}"
            yield from _link(scene, uplink_port(place), bridge, place, far)
    if not segment:
        yield from _central(scene)


def _link(scene: Scene, near: str, bridge: str, place: int, far: str) -> Iterator[str]:
    yield (
        f"link add {near} mtu {scene.mtu} type veth "
        f"peer name {far} mtu {scene.mtu} netns {name(place)}"
    )
    yield f"link set {near} master {bridge} up"


def _central(scene: Scene) -> Iterator[str]:
    if any(speaker.daemon in ("felix", "ovn") for speaker in scene.speakers):
        yield from _datastore(scene)


def _datastore(scene: Scene) -> Iterator[str]:
    """Yield the address of the datastore on the bridge, and the way back to the nodes."""
    yield f"address add {DATASTORE}/32 dev br0"
    for place, speaker in enumerate(scene.speakers):
        yield f"route add {speaker.address} dev br0"
        yield f"neigh add {speaker.address} lladdr {node_mac(place)} dev br0 nud permanent"


def _furnish(scene: Scene, place: int) -> None:
    own = scene.speakers[place]
    _batch(("-n", name(place)), _node(scene, place, own))
    for number, end in enumerate(own.ends):
        _batch(("-n", name(place, number)), _container(end))
        if own.daemon in SWITCHED:
            there = ("ip", "netns", "exec", name(place, number))
            _run((*there, *WHOLE_CHECKSUMS.format("eth0").split()))


def _node(scene: Scene, place: int, own: Speaker) -> Iterator[str]:
    yield "link set lo up"
    yield "link set eth0 up"
    if own.daemon not in SWITCHED:
        yield from _routed(scene, place, own)
    for number, end in enumerate(own.ends):
        far = f"peer name eth0 address {end.mac} mtu {scene.pod_mtu} netns {name(place, number)}"
        yield f"link add e{number} mtu {scene.pod_mtu} type veth {far}"
        yield f"link set e{number} up"
        if own.daemon not in SWITCHED:
            yield f"link set e{number} address {GATEWAY_MAC}"
            yield f"route add {end.address} dev e{number} table {POD_TABLE}"
            yield f"neigh add {end.address} lladdr {end.mac} dev e{number} nud permanent"
    if own.daemon == "felix":
        yield f"route add {DATASTORE} dev eth0"
        yield f"neigh add {DATASTORE} lladdr {BRIDGE_MAC} dev eth0 nud permanent"


def _routed(scene: Scene, place: int, own: Speaker) -> Iterator[str]:
    """Yield what a node has that routes: pods' addresses are in a table that BIRD does not read.

    Calico's BIRD reads them, and announces their blocks.
    """
    yield f"rule add pref {POD_TABLE} lookup {POD_TABLE}"
    yield f"address add {own.address}/{scene.prefix} dev eth0"
    for block in own.blocks:
        yield f"route add blackhole {block}"
    yield from _on_link(scene, place, own.segment, "eth0")
    if own.uplink:
        yield "link set eth1 up"
        yield f"address add {own.uplink}/{scene.prefix} dev eth1"
        yield from _on_link(scene, place, 0, "eth1")


def _on_link(scene: Scene, place: int, segment: int, device: str) -> Iterator[str]:
    """Yield all others that a device's bridge leads to."""
    for other, speaker in enumerate(scene.speakers):
        if other == place:
            continue
        if speaker.segment == segment:
            yield neighbour(speaker.address, other, device)
        elif speaker.uplink and not segment:
            mac = uplink_mac(other)
            yield f"neigh add {speaker.uplink} lladdr {mac} dev {device} nud permanent"


def _container(end: End) -> Iterator[str]:
    yield "link set lo up"
    yield "link set eth0 up"
    yield f"address add {end.address}/{end.prefix} dev eth0"
    if end.gateway == POD_GATEWAY:
        yield f"neigh add {end.gateway} lladdr {GATEWAY_MAC} dev eth0 nud permanent"
    yield f"route add default via {end.gateway} dev eth0 onlink"


def neighbour(address: str, place: int, device: str = "eth0") -> str:
    """Return the line that says behind which speaker's link an address is."""
    return f"neigh add {address} lladdr {node_mac(place)} dev {device} nud permanent"


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
