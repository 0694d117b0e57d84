"""Items on oVirt hosts: what VDSM's host can be asked for by the engine's pinning policies."""

from __future__ import annotations

from virtboost.catalogue.commands import bios
from virtboost.catalogue.conditions import NUMA, RUNNING_GUESTS, dedicated
from virtboost.catalogue.guest import reach
from virtboost.catalogue.item import (
    NO_FIGURE,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Platform,
    Subjects,
    Wrong,
)
from virtboost.catalogue.sources import OVIRT_DEDICATED, OVIRT_RESIZE
from virtboost.catalogue.wanted import Wanted
from virtboost.model.agent import Agent
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.wording import listed

PLATFORMS: tuple[Platform, ...] = ("ovirt",)

VDSM: Subjects[Agent] = Subjects(
    kind="agent",
    select=lambda host: [(agent.name, agent) for agent in host.agents if agent.name == "vdsm"],
    none="there is no VDSM",
    gap="agents",
)


def _resize_and_pin(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    sockets = len(host.topology.sockets)
    nodes = sum(bool(node.cpus) for node in host.topology.numa_nodes)
    found = f"{sockets} sockets, {nodes} NUMA nodes with CPUs"
    if sockets == nodes:
        return Ok(found)
    return Wrong(
        found=found,
        wanted="as many sockets as nodes",
        reason="the engine's policy Resize and Pin NUMA leaves this host out",
    )


def _whole_host(host: Host, guest: Guest) -> bool:
    """Tell whether a guest has the shape of Resize and Pin: all but a core of each socket."""
    cpus = reach(host, guest)
    left = [host.topology.cores_of(socket.cpus - cpus) for socket in host.topology.sockets]
    return dedicated(guest) and all(len(cores) <= 1 for cores in left)


def _pinning(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    guests = host.running_guests
    whole = [guest for guest in guests if _whole_host(host, guest)]
    if not whole:
        return NotApplicable("no guest is pinned to the whole host, as Resize and Pin NUMA does")
    beside = [guest.name for guest in guests if guest.name != whole[0].name]
    if not beside:
        return Ok(f"guest {whole[0].name} has the host to itself")
    cpus = reach(host, whole[0])
    return Wrong(
        found=f"guest {whole[0].name} is pinned to {cpus}; beside it {listed(beside)}",
        wanted="such a guest alone",
        reason="Resize and Pin NUMA does not look at what else runs: these guests share its pCPUs",
    )


_ONE_NUMA = "Advanced > Memory Configuration > One Numa Per Socket"

ITEMS = (
    Item(
        id="vdsm.resize_and_pin",
        title="As many sockets as NUMA nodes, for oVirt's Resize and Pin NUMA",
        layer="cluster",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="reboot",
        risk="One Numa Per Socket merges the memory of two dies: bandwidth up, locality down",
        effect=NO_FIGURE,
        why=(
            "A Kunpeng 920 with two sockets and four nodes is filtered out by that policy. Pin by "
            "hand or use the Dedicated policy there; One Numa Per Socket in the BIOS makes the "
            "policy work and hides the dies from everybody, which costs more than it brings where "
            "guests fit on a die. Clusters that do not use the policy can switch the item off."
        ),
        sources=(OVIRT_RESIZE, OVIRT_DEDICATED),
        by_hand=(
            "# in the engine: Resource Allocation > CPU Pinning Policy: Dedicated\n"
            "# or, with the cost above:\n" + bios(_ONE_NUMA, "Enabled")
        ),
        undo_by_hand=bios(_ONE_NUMA, "Disabled"),
        applies=(NUMA,),
        subjects=VDSM,
        judge=_resize_and_pin,
    ),
    Item(
        id="vdsm.pinning",
        title="A guest of Resize and Pin NUMA is alone on its oVirt host",
        layer="cluster",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="the other guests need room on other hosts",
        effect=NO_FIGURE,
        why=(
            "Manual pins and the automatic NUMA policies take no account of other guests; only "
            "Dedicated keeps others away, and the two must not share a host. VDSM does not tell "
            "the policy: it is recognised by pins on all cores but one of each socket. Guests "
            "that are pinned by hand are looked at by guest.pcpu_shared and guest.floaters."
        ),
        sources=(OVIRT_DEDICATED, OVIRT_RESIZE),
        by_hand="# in the engine: migrate the other guests, or CPU Pinning Policy: Dedicated",
        undo_by_hand="# in the engine: migrate them back",
        applies=(RUNNING_GUESTS,),
        subjects=VDSM,
        judge=_pinning,
    ),
)
