"""Network interfaces from ``/sys/class/net`` and ``ethtool``.

Source: Documentation/ABI/testing/sysfs-class-net, sysfs-class-net-queues and
Documentation/networking/{scaling,switchdev}.rst of Linux; ethtool(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from virtboost.model.cpuset import CpuSet
from virtboost.model.net import Channels, NetInterface
from virtboost.model.pci import PciDevice
from virtboost.scan.gaps import Gaps
from virtboost.scan.pci import address_in
from virtboost.scan.texts import cpu_mask, integer, natural, node_id, pairs, times
from virtboost.transport.source import Capture, Command, Files, Links, Source

INTERFACES = "/sys/class/net"

PLACES = Links(INTERFACES, ("*",))
"""Where each interface is in the tree of devices: below its device."""

ATTRIBUTES = Files(f"{INTERFACES}/*", ("mtu", "operstate", "carrier", "speed", "phys_port_name"))
"""``phys_switch_id`` is not read: it is made of the card's own address."""

DEVICE = Files(f"{INTERFACES}/*/device", ("uevent", "numa_node"))

MASTER = Links(f"{INTERFACES}/*", ("master",))

RX_QUEUES = Files(f"{INTERFACES}/*/queues/rx-*", ("rps_cpus",))

TX_QUEUES = Files(f"{INTERFACES}/*/queues/tx-*", ("tx_timeout", "xps_cpus"))
"""An interface with one queue has no ``xps_cpus``; ``tx_timeout`` tells that the queue is there."""

_LISTING = (
    "sh",
    "-c",
    "command -v ethtool >/dev/null || exit; "
    f"for d in {INTERFACES}/*/device; do "
    '[ -e "$d" ] && [ ! -e "$d/physfn" ] && d=${d%/device} && printf "%s\\n" "${d##*/}"; '
    "done; :",
)
"""The interfaces that ethtool is asked about.

Not those made by software, of which a host has hundreds, and not VFs, which are for guests.
"""

CHANNELS = Command("ethtool-channels", ("ethtool", "-l", "{}"), foreach=_LISTING)

OFFLOADS = Command("ethtool-offloads", ("ethtool", "-k", "{}"), foreach=_LISTING)

SOURCES: tuple[Source, ...] = (
    PLACES,
    ATTRIBUTES,
    DEVICE,
    MASTER,
    RX_QUEUES,
    TX_QUEUES,
    CHANNELS,
    OFFLOADS,
)

_VIRTUAL = "/sys/devices/virtual/"

_REPRESENTOR = re.compile(r"(?:c\d+)?pf\d+(?:vf-?\d+|sf\d+)?|\d+")
"""``phys_port_name`` of a representor: ``pf0vf3``, ``pf0sf88``, behind a SmartNIC ``c1pf0vf3``.

Source: Documentation/networking/devlink/devlink-port.rst; before Linux 5.0 mlx5 gave the bare
number of the VF (https://doc.dpdk.org/guides/nics/mlx5.html).  A port of the card itself is ``p0``.
"""

_NO_SPEEDS = (0xFFFF, 0xFFFFFFFF)
"""``SPEED_UNKNOWN`` (-1) in the 16 or 32 bits without sign of older drivers and kernels."""

_CARRIER = {"1": True, "0": False}
_OPERSTATE = {"up": True, "down": False, "lowerlayerdown": False, "notpresent": False}

_TITLE = re.compile(r"(?:Channel parameters|Features|Offload parameters) for (.+):")
_FEATURE = re.compile(r"^\s*([\w-]+): (on|off)\b(.*)$", re.MULTILINE)

Queues = dict[str, dict[str, dict[str, str]]]


def parse(capture: Capture, gaps: Gaps, devices: Sequence[PciDevice]) -> tuple[NetInterface, ...]:
    """Return the interfaces of the host's own network namespace, as named there.

    Args:
        capture: What was read.
        gaps: What is not told goes here.
        devices: The PCI functions of the host.
    """
    places = capture.entries(PLACES).get(INTERFACES, {})
    if not places:
        gaps.add("network interfaces", INTERFACES, "the kernel does not tell network interfaces")
    functions = {device.address: device for device in devices}
    told = _told(capture)
    rx, tx = _queues(capture, RX_QUEUES), _queues(capture, TX_QUEUES)
    interfaces = tuple(
        _interface(
            name,
            place,
            told.get(name, {}),
            function=functions.get(address_in(place) or ""),
            rx=rx.get(name, {}),
            tx=tx.get(name, {}),
        )
        for name, place in places.items()
    )
    if any(i.kind == "physical" for i in interfaces) and not any(i.offloads for i in interfaces):
        gaps.add("channels and offloads", "ethtool", "no answer: not installed, or not recorded")
    return interfaces


def _told(capture: Capture) -> dict[str, dict[str, str]]:
    """Return the texts of each interface by file, link or command.

    The exit status of ethtool says nothing: older versions fail for one feature and print the
    others.
    """
    told: dict[str, dict[str, str]] = {}
    for source in (ATTRIBUTES, DEVICE, MASTER):
        for (name,), texts in capture.matches(source):
            told.setdefault(name, {}).update(texts)
    for command in (CHANNELS, OFFLOADS):
        for output in capture.outputs(command):
            title = _TITLE.match(output.stdout)
            if title:
                told.setdefault(title[1], {})[command.name] = output.stdout
    return told


def _interface(
    name: str,
    place: str,
    told: Mapping[str, str],
    *,
    function: PciDevice | None,
    rx: Mapping[str, Mapping[str, str]],
    tx: Mapping[str, Mapping[str, str]],
) -> NetInterface:
    features = _FEATURE.findall(told.get(OFFLOADS.name, ""))
    return NetInterface(
        name=name,
        kind="virtual" if place.startswith(_VIRTUAL) else "physical",
        role=_role(told.get("phys_port_name", ""), function),
        driver=dict(pairs(told.get("uevent"), "=")).get("DRIVER"),
        pci_address=function.address if function else None,
        node_id=function.node_id if function else node_id(told.get("numa_node")),
        up=_CARRIER.get(told.get("carrier", ""), _OPERSTATE.get(told.get("operstate", ""))),
        speed_bps=_speed(told.get("speed")),
        mtu=natural(told.get("mtu")),
        master=told.get("master", "").rpartition("/")[2] or None,
        rx_queue_count=len(rx) or None,
        tx_queue_count=len(tx) or None,
        channels=_channels(told.get(CHANNELS.name, "")),
        offloads={feature: state == "on" for feature, state, _ in features},
        fixed_offloads=tuple(feature for feature, _, note in features if "[fixed]" in note),
        rps_cpus=dict(_masks(rx, "rx", "rps_cpus")),
        xps_cpus=dict(_masks(tx, "tx", "xps_cpus")),
    )


def _role(port: str, function: PciDevice | None) -> Literal["pf", "vf", "representor"] | None:
    """Tell the part in SR-IOV; a representor is on the PCI function of its PF, so it is first."""
    if _REPRESENTOR.fullmatch(port):
        return "representor"
    if function is None:
        return None
    if function.physical_function:
        return "vf"
    return "pf" if function.sriov_total_vfs else None


def _speed(text: str | None) -> int | None:
    megabits = integer(text)
    if megabits is None or megabits <= 0 or megabits in _NO_SPEEDS:
        return None
    return times(megabits, 1_000_000)


def _queues(capture: Capture, source: Files) -> Queues:
    queues: Queues = {}
    for (name, queue), texts in capture.matches(source):
        queues.setdefault(name, {})[queue] = texts
    return queues


def _masks(
    queues: Mapping[str, Mapping[str, str]], direction: str, file: str
) -> Iterator[tuple[str, CpuSet]]:
    for queue, texts in queues.items():
        cpus = cpu_mask(texts.get(file))
        if cpus is not None:
            yield f"{direction}-{queue}", cpus


def _channels(text: str) -> Channels | None:
    most, found, now = text.partition("Current hardware settings:")
    maximum, current = dict(pairs(most)), dict(pairs(now))
    if not found or "Combined" not in current:
        return None
    return Channels(
        combined=_count(current, "Combined"),
        combined_max=_count(maximum, "Combined"),
        rx=_count(current, "RX"),
        rx_max=_count(maximum, "RX"),
        tx=_count(current, "TX"),
        tx_max=_count(maximum, "TX"),
    )


def _count(fields: Mapping[str, str], name: str) -> int:
    """Read a number of queues; ``n/a``, in older versions 0, is a kind that the card has not."""
    return natural(fields.get(name)) or 0
