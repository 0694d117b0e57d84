"""Items on memory modules and on settings that only the BIOS knows, and its BMC tells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from virtboost.catalogue.commands import bios
from virtboost.catalogue.conditions import BOUND_GUESTS, DEDICATED_GUESTS, KUNPENG, NEW_KUNPENG
from virtboost.catalogue.item import (
    HOST,
    NO_FIGURE,
    Condition,
    Effect,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import INTERRUPT_GUIDE, OVERVIEW, TOPOLOGY_GUIDE
from virtboost.catalogue.wanted import Wanted
from virtboost.model.host import Host
from virtboost.model.wording import listed

_CHANNEL = re.compile(r"(?:socket|node)[ _]*(\d{1,3})[ _]*channel[ _]*(\d{1,3})", re.IGNORECASE)
"""In the name of a slot: ``SOCKET 0 CHANNEL 7 DIMM 1``, ``_Node0_Channel7_Dimm1``."""

FASTEST_MTPS = {"Kunpeng 920": 2933}
"""The fastest memory of a CPU (WikiChip, Kunpeng 920-4826: DDR4-2933), in megatransfers/s."""

Judge = Callable[[Host, Host, Wanted], Outcome]

Slow = tuple[str, int, int]
"""A slot, what its module can do and what it is set to, in megatransfers per second."""

Channels = Counter[tuple[int, int]]
"""Modules by (socket, channel); 0 for a channel without."""


def setting(name: str, reason: str) -> Judge:
    """Return the judge of one BIOS setting, which is unknown where no BMC was asked.

    Args:
        name: As ``Firmware.setting`` knows it.
        reason: What is wrong where it is not as wanted.
    """

    def judge(host: Host, _: Host, wanted: Wanted) -> Outcome:
        value = host.firmware.setting(name)
        if value is None and host.firmware.bios_settings is None:
            return Unknown("the BIOS settings; ask the BMC with --redfish")
        if value is None:
            return NotApplicable("this BIOS has no such setting")
        found = str(value)
        if isinstance(value, bool):
            # JSON has true and false where a BMC does not write the BIOS's own words.
            found = "Enabled" if value else "Disabled"
        return Ok(found) if wanted.accepts(found) else Wrong(found, wanted.text, reason)

    return judge


def _speed(host: Host, _: Host, wanted: Wanted) -> Outcome:
    modules = [module for module in host.firmware.memory_modules if module.size_bytes]
    speeds = [
        (module.slot, module.speed_mtps, module.configured_speed_mtps)
        for module in modules
        if module.speed_mtps is not None and module.configured_speed_mtps is not None
    ]
    if not speeds:
        return NotApplicable("the firmware tells no speed of memory modules")
    if len(speeds) < len(modules):
        return Unknown("the speed of every memory module")
    slow = [(slot, rated, set_to) for slot, rated, set_to in speeds if set_to < rated]
    if not slow:
        return Ok(f"{len(modules)} modules at {min(each[2] for each in speeds)} MT/s")
    limit = FASTEST_MTPS.get(host.cpu.generation or "")
    if limit is None:
        return Unknown(f"how fast this CPU can drive memory; {_told(slow)}")
    slow = [(slot, rated, set_to) for slot, rated, set_to in slow if set_to < limit]
    if not slow:
        return Ok(f"{limit} MT/s, the fastest that the CPU can")
    return Wrong(
        found=_told(slow),
        wanted=f"{min(limit, max(rated for _, rated, _ in slow))} MT/s",
        reason=f"{len(slow)} modules are slower than they and the CPU ({limit} MT/s) could be: "
        "two modules on a channel, a slower one among them, or a BIOS setting",
    )


def _told(modules: list[Slow]) -> str:
    return listed((f"{slot}: {set_to} of {rated} MT/s" for slot, rated, set_to in modules), 3)


def _channels(host: Host, _: Host, wanted: Wanted) -> Outcome:
    slots = host.firmware.memory_modules
    places = [(slot, _CHANNEL.search(slot.slot)) for slot in slots]
    odd = [slot.slot for slot, match in places if match is None]
    if len(odd) == len(slots):
        return NotApplicable("this server does not name slots after memory channels")
    if odd:
        return Unknown(f"on which channel {listed(odd)} is")
    modules: Channels = Counter()
    for slot, match in places:
        if match is not None:
            modules[int(match[1]), int(match[2])] += slot.size_bytes > 0
    modules = _of_cpus(modules, len(host.topology.sockets))
    if not any(modules.values()):
        return Unknown("the memory modules")
    most = max(modules.values())
    short = [place for place, count in sorted(modules.items()) if count < most]
    if not short:
        return Ok(f"{len(modules)} channels with {most} each")
    empty = [place for place in short if not modules[place]]
    named = listed(f"socket {socket} channel {channel}" for socket, channel in empty or short)
    return Wrong(
        found=f"{named}: {'no module' if empty else 'fewer modules'}",
        wanted=f"the same on each of {len(modules)} channels",
        reason=f"memory is spread over channels: {len(empty or short)} of them carry nothing or "
        "less, and the bandwidth of their node falls with them",
    )


def _of_cpus(modules: Channels, cpu_count: int) -> Channels:
    """Leave out sockets without modules if the board has more of them than there are CPUs."""
    sockets = {socket for socket, _ in modules}
    used = {socket for (socket, _), count in modules.items() if count}
    kept = sockets if len(sockets) <= cpu_count else used
    return Counter({place: count for place, count in modules.items() if place[0] in kept})


def _ssbs(host: Host, _: Host, wanted: Wanted) -> Outcome:
    if not host.cpu.flags:
        return Unknown("the features of the CPU")
    found = "Enabled" if "ssbs" in host.cpu.flags else "Disabled"
    if wanted.accepts(found):
        return Ok(found)
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason="guests of this host lack a feature that those of a new Kunpeng 920 have",
    )


FIRST_KUNPENG = Condition(
    when="the CPU is a Kunpeng 920",
    otherwise="the CPU is no Kunpeng 920, from which guests migrate to newer ones",
    holds=lambda host: host.cpu.generation == "Kunpeng 920",
    gap="CPU identity",
)

MEMORY_MODULES = Condition(
    when="the memory modules are known",
    otherwise="the firmware tells no memory modules",
    holds=lambda host: bool(host.firmware.memory_modules),
    gap="memory modules",
)

_WIKICHIP = "WikiChip, Kunpeng 920-4826: https://en.wikichip.org/wiki/hisilicon/kunpeng/920-4826"

_POWER_TEST = (
    "Huawei, CANN 8.5 installation guide: https://www.hiascend.com/document/detail/en/"
    "canncommercial/850/softwareinst/instg/instg_0097.html"
)

_MIGRATION_GUIDE = (
    "Kunpeng, cross-generation live migration feature guide: "
    "https://gitcode.com/boostkit/cloud-virtual/tree/master/docs/zh"
)

_SSBS = "Advanced > Performance Config > SSBS Support"
_COUNTER = "Advanced > MISC Configuration > SysCount Frequency"
_REFRESH = "Custom Refresh Rate (Redfish: DdrRefreshRate)"
_POWER = "Power Policy (Redfish: CustomPowerPolicy)"
_NUMA = "NUMA (Redfish: NUMAEn)"
_INTERLEAVING = "Advanced > Memory Configuration > Die Interleaving (Redfish: DieInterleaving)"
_PREFETCH = "CPU Prefetching Configuration (Redfish: CPUPrefetchConfig)"
_GIC = "Advanced > Processor Configuration > GIC Version (Redfish: Gicv4Version)"


ITEMS = (
    Item(
        id="firmware.memory_refresh",
        title="The memory refresh rate is Auto",
        layer="bios",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="warning",
        takes_effect="reboot",
        risk="none known: Auto refreshes faster when the modules get hot",
        effect=NO_FIGURE,
        why=(
            "Refreshing takes memory away from the CPU. A fixed 32 ms refreshes twice as often as "
            "the 64 ms that modules need while they are cool; Auto follows their temperature. The "
            "first item of Huawei's KVM and Docker tables, for commercial use; they promise a "
            "notable gain of memory bandwidth and name no figure."
        ),
        sources=(OVERVIEW, "JEDEC JESD79-4, DDR4 SDRAM, refresh above and below 85 degrees"),
        by_hand=bios(_REFRESH, "Auto"),
        undo_by_hand=bios(_REFRESH, "OLD"),
        applies=(KUNPENG,),
        subjects=HOST,
        wanted=Wanted("Auto"),
        judge=setting(
            "memory_refresh_rate", "a fixed rate refreshes more often than cool modules need"
        ),
    ),
    Item(
        id="firmware.power_policy",
        title="The power policy is Performance",
        layer="bios",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="advice",
        takes_effect="reboot",
        risk="more power and heat",
        effect=Effect(
            figure="about 0.9 to 1.2 %",
            conditions="Llama inference on an Atlas 800T A2 with Kunpeng CPUs, Performance "
            "against Efficiency",
            source=_POWER_TEST,
        ),
        why=(
            "Efficiency lets the firmware lower frequencies that the kernel cannot see. The one "
            "published figure is small, and for another load. Where power or cooling limits the "
            "server, leave it."
        ),
        sources=(_POWER_TEST,),
        by_hand=bios(_POWER, "Performance"),
        undo_by_hand=bios(_POWER, "Efficiency"),
        applies=(KUNPENG,),
        subjects=HOST,
        wanted=Wanted("Performance"),
        judge=setting("power_policy", "the firmware may lower frequencies to save power"),
    ),
    Item(
        id="firmware.numa",
        title="NUMA is on in the BIOS",
        layer="bios",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="warning",
        takes_effect="reboot",
        risk="pins and memory policies made for one node must be looked at again",
        effect=NO_FIGURE,
        why=(
            "Without NUMA the memory of all dies is mixed page by page or line by line: nothing is "
            "near, and nothing can be bound. Huawei's guides bind guests to nodes throughout."
        ),
        sources=(OVERVIEW, TOPOLOGY_GUIDE),
        by_hand=bios(_NUMA, "Enabled"),
        undo_by_hand=bios(_NUMA, "Disabled"),
        applies=(KUNPENG,),
        subjects=HOST,
        wanted=Wanted("Enabled"),
        judge=setting("numa", "memory of all dies is mixed, and nothing can be bound to a node"),
    ),
    Item(
        id="firmware.die_interleaving",
        title="Memory is not interleaved over dies where guests are bound to nodes",
        layer="bios",
        platforms=("kvm", "openstack", "ovirt"),
        severity="advice",
        takes_effect="reboot",
        risk="the host has other nodes afterwards: pins, memory policies and huge pages change",
        effect=NO_FIGURE,
        why=(
            "With One Numa Per Socket and Die Interleaving a new Kunpeng 920 has two nodes of two "
            "dies each, and a guest on one die has half of its memory at the other. Huawei's "
            "topology guide shows both layouts and asks guests of less than 64 vCPUs to stay in a "
            "die; it recommends neither. Guests larger than a die, and programs that know "
            "nothing of NUMA, are better off with few nodes: leave it on for them."
        ),
        sources=(TOPOLOGY_GUIDE,),
        by_hand=bios(_INTERLEAVING, "Disabled"),
        undo_by_hand=bios(_INTERLEAVING, "Enabled"),
        applies=(NEW_KUNPENG, BOUND_GUESTS),
        subjects=HOST,
        wanted=Wanted("Disabled"),
        judge=setting("die_interleaving", "memory of a node lies on two dies, half of it remote"),
    ),
    Item(
        id="firmware.prefetch",
        title="CPU prefetching is on",
        layer="bios",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt"),
        severity="advice",
        usage="poc_only",
        takes_effect="reboot",
        risk="loads with random accesses lose bandwidth to lines that nobody reads",
        effect=NO_FIGURE,
        why=(
            "A-Tune's profile for KVM hosts on Kunpeng 920 switches prefetching on; guides for "
            "databases switch it off. It depends on what the guests do, so it is for those who "
            "measure both."
        ),
        sources=(
            "openEuler A-Tune, profiles/cloud-compute/kvm/host.conf: "
            "https://gitee.com/openeuler/A-Tune",
        ),
        by_hand=bios(_PREFETCH, "Enabled"),
        undo_by_hand=bios(_PREFETCH, "Disabled"),
        applies=(KUNPENG,),
        subjects=HOST,
        wanted=Wanted("Enabled"),
        judge=setting("cpu_prefetch", "loads that read memory in order wait for each line"),
    ),
    Item(
        id="firmware.gic_version",
        title="The GIC is version 4.1 for guests that have their own pCPUs",
        layer="bios",
        platforms=("kvm", "openstack"),
        severity="advice",
        takes_effect="reboot",
        risk="guests of a Kunpeng 920 can no longer migrate to this host, which needs GIC 4.0",
        effect=NO_FIGURE,
        why=(
            "GICv4.1 delivers interrupts between vCPUs, and those of devices passed through, "
            "without the host (see irq.gic_v4). The BIOS's default is 4.0. Leave that on a host "
            "that takes guests from a Kunpeng 920 by live migration, and where vCPUs share pCPUs."
        ),
        sources=(INTERRUPT_GUIDE, _MIGRATION_GUIDE),
        by_hand=bios(_GIC, "4.1"),
        undo_by_hand=bios(_GIC, "4.0"),
        conflicts=("firmware.migration_target",),
        applies=(NEW_KUNPENG, DEDICATED_GUESTS),
        subjects=HOST,
        wanted=Wanted("4.1"),
        judge=setting("gic_version", "every interrupt of a guest goes through the host"),
    ),
    Item(
        id="firmware.migration_source",
        title="SSBS is on where guests leave a Kunpeng 920 for a new one by live migration",
        layer="bios",
        platforms=("kvm", "openstack"),
        severity="warning",
        usage="poc_only",
        takes_effect="reboot",
        risk="the guide calls the feature a demonstration, not for production",
        effect=NO_FIGURE,
        why=(
            "Live migration between generations goes one way, from a Kunpeng 920 to a new one, and "
            "the guest must see the same features on both. Huawei's guide wants SSBS on at the "
            "source, BIOS 5.29 and iBMC 3.03 or later, kernel 6.6, QEMU 8.2 and libvirt 9.10."
        ),
        sources=(_MIGRATION_GUIDE,),
        by_hand=bios(_SSBS, "Enabled"),
        undo_by_hand=bios(_SSBS, "Disabled"),
        rule="R6",
        applies=(FIRST_KUNPENG,),
        subjects=HOST,
        wanted=Wanted("Enabled"),
        judge=_ssbs,
    ),
    Item(
        id="firmware.migration_target",
        title="The GIC is version 4.0 where guests arrive from a Kunpeng 920 by live migration",
        layer="bios",
        platforms=("kvm", "openstack"),
        severity="warning",
        usage="poc_only",
        takes_effect="reboot",
        risk="interrupts between vCPUs go through the host again",
        effect=NO_FIGURE,
        why=(
            "A guest of a Kunpeng 920 knows a GICv4.0 and a counter of 100 MHz. Huawei's guide "
            "wants both on the new 920, BIOS 20.0 and iBMC 5.0 or later. No program of the host "
            "tells the counter's setting: look it up in the BIOS."
        ),
        sources=(_MIGRATION_GUIDE,),
        by_hand=bios(_GIC, "4.0") + "\n" + bios(_COUNTER, "100MHz"),
        undo_by_hand=bios(_GIC, "4.1") + "\n" + bios(_COUNTER, "OLD"),
        conflicts=("firmware.gic_version",),
        rule="R6",
        applies=(NEW_KUNPENG,),
        subjects=HOST,
        wanted=Wanted("4.0"),
        judge=setting("gic_version", "guests of a Kunpeng 920 cannot arrive here"),
    ),
    Item(
        id="firmware.memory_speed",
        title="Memory runs as fast as modules and CPU can",
        layer="bios",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="advice",
        takes_effect="reboot",
        risk="fewer modules, or the host is opened",
        effect=NO_FIGURE,
        why=(
            "A second module on a channel, or one slow module, lowers the speed of all. Modules "
            "that are faster than the CPU are no mistake, so without knowing the CPU's limit this "
            "item does not judge. Capacity may be worth more than speed."
        ),
        sources=(
            _WIKICHIP,
            "DMTF DSP0134, SMBIOS type 17: https://www.dmtf.org/standards/smbios",
        ),
        by_hand="dmidecode -t 17  # Speed and Configured Memory Speed of each module",
        undo_by_hand="# put the modules back",
        applies=(MEMORY_MODULES,),
        subjects=HOST,
        judge=_speed,
    ),
    Item(
        id="firmware.memory_channels",
        title="Every memory channel has the same number of modules",
        layer="bios",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="warning",
        takes_effect="reboot",
        risk="the host is opened",
        effect=NO_FIGURE,
        why=(
            "A Kunpeng 920 has eight channels per socket, four for each node. A channel without a "
            "module adds nothing to the bandwidth of its node, and one with fewer modules leaves "
            "a part of memory that is spread over fewer channels. Huawei's topology guide wants "
            "one module on each channel, slots 0 first. Judged only where the names of slots tell "
            "their channel, as on TaiShan servers."
        ),
        sources=(TOPOLOGY_GUIDE, _WIKICHIP),
        by_hand="dmidecode -t 17  # Bank Locator and Size of each slot",
        undo_by_hand="# put the modules back",
        applies=(MEMORY_MODULES,),
        subjects=HOST,
        judge=_channels,
    ),
)
