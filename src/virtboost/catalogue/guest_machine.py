"""Items on the machine that a guest is: accelerator, machine type, CPU, GIC, video, resctrl."""

from __future__ import annotations

from virtboost.catalogue.conditions import ARM
from virtboost.catalogue.guest import GUESTS, PLATFORMS
from virtboost.catalogue.item import NO_FIGURE, Item, NotApplicable, Ok, Outcome, Unknown, Wrong
from virtboost.catalogue.sources import LIBVIRT_DOMAIN, NOVA_CONFIG, TOPOLOGY_GUIDE
from virtboost.catalogue.wanted import Wanted
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.wording import listed

BASIC_MODELS = ("qemu64", "kvm64", "qemu32", "kvm32", "cpu64-rhel6")
"""x86 models with the least that QEMU knows: neither AES nor AVX."""

NO_KVM = "KVM does not run it"


def _accelerated(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if guest.accelerated:
        return Ok("KVM")
    if guest.arch is not None and guest.arch != host.arch:
        return NotApplicable(f"{guest.arch} can only be interpreted on {host.arch}")
    able = host.libvirt.accelerated if host.libvirt is not None else None
    if able is None:
        return Unknown("whether this host has KVM")
    if not able:
        return NotApplicable("this host has no KVM")
    return Wrong(
        found="QEMU interprets it (domain type 'qemu')",
        wanted="domain type 'kvm'",
        reason="the host has KVM, and this guest does not use it",
    )


def _machine(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not guest.accelerated:
        return NotApplicable(NO_KVM)
    if guest.machine is None:
        return Unknown("its machine type")
    if guest.machine.startswith("virt"):
        return Ok(guest.machine)
    return Wrong(
        found=guest.machine,
        wanted="virt",
        reason="the machine has neither PCIe for virtio nor the GIC that KVM accelerates",
    )


def _video(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    models = [model for model in guest.video if model != "none"]
    if not models:
        return NotApplicable("it has no video device")
    if all(wanted.accepts(model) for model in models):
        return Ok(listed(models))
    if not guest.accelerated:
        return NotApplicable(NO_KVM)
    return Wrong(
        found=listed(models),
        wanted=wanted.text,
        reason="a VGA frame buffer is device memory that guest and QEMU see with different "
        "cache attributes on aarch64: the picture is broken",
    )


def _cpu_mode(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not guest.accelerated:
        return NotApplicable(NO_KVM)
    if host.arch not in ("aarch64", "x86_64"):
        return NotApplicable(f"nothing is known of CPU modes on {host.arch}")
    return _arm_cpu(guest) if host.arch == "aarch64" else _x86_cpu(guest)


def _arm_cpu(guest: Guest) -> Outcome:
    if guest.cpu_mode is None:
        return Unknown("its CPU mode: the XML leaves it to libvirt")
    if guest.cpu_mode in ("host-passthrough", "maximum"):
        return Ok(guest.cpu_mode)
    return Wrong(
        found=" ".join(filter(None, (guest.cpu_mode, guest.cpu_model))),
        wanted="host-passthrough",
        reason="KVM on aarch64 gives guests the host's CPU and no other: this guest does not start",
    )


def _x86_cpu(guest: Guest) -> Outcome:
    if guest.cpu_mode == "custom" and guest.cpu_model is not None:
        found = guest.cpu_model
    else:
        found = guest.cpu_mode or "QEMU's default, qemu64"
    if guest.cpu_mode is not None and guest.cpu_model not in BASIC_MODELS:
        return Ok(found)
    return Wrong(
        found=found,
        wanted="a model of this generation",
        reason="the guest lacks instructions that the CPU has, such as AES and AVX",
    )


def _gic(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not guest.accelerated:
        return NotApplicable(NO_KVM)
    if guest.gic_version is None:
        return Unknown("its GIC version: the XML leaves it to libvirt")
    if wanted.accepts(guest.gic_version):
        return Ok(guest.gic_version)
    return Wrong(
        found=guest.gic_version,
        wanted=wanted.text,
        reason="a GICv2 serves 8 vCPUs at most, has no MSI and is emulated on a server's GIC",
    )


ITEMS = (
    Item(
        id="guest.accelerated",
        title="KVM runs the guests of the host's architecture",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="the guest sees another CPU",
        effect=NO_FIGURE,
        why=(
            "An interpreted guest is many times slower than one under KVM. It is the only way to "
            "run a foreign architecture, and otherwise a mistake: virt_type=qemu left over from a "
            "trial, or a guest that was defined before /dev/kvm was there."
        ),
        sources=(LIBVIRT_DOMAIN, NOVA_CONFIG),
        by_hand="virsh edit GUEST  # <domain type='kvm'>, <cpu mode='host-passthrough'/>",
        undo_by_hand="virsh edit GUEST  # <domain type='qemu'>, the <cpu> as before",
        subjects=GUESTS,
        judge=_accelerated,
    ),
    Item(
        id="guest.machine",
        title="Guests on aarch64 are of machine type virt",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="device addresses and names change: treat it as a new installation",
        effect=NO_FIGURE,
        why=(
            "virt is the machine that QEMU and libvirt make for guests: PCIe, virtio, ACPI and the "
            "host's GIC. The other Arm machines imitate boards. Hot-plug of vCPUs (openEuler) "
            "needs virt-4.2 or later."
        ),
        sources=(NOVA_CONFIG, LIBVIRT_DOMAIN),
        by_hand="virsh edit GUEST  # <type arch='aarch64' machine='virt'>hvm</type>",
        undo_by_hand="virsh edit GUEST  # the machine= that was there before",
        applies=(ARM,),
        subjects=GUESTS,
        judge=_machine,
    ),
    Item(
        id="guest.video",
        title="Video of guests on aarch64 is virtio",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="none for a guest with a current kernel",
        effect=NO_FIGURE,
        why=(
            "Nova gives every aarch64 guest virtio video, and none of the VGA models works there "
            "under KVM. A server needs no video at all: its serial console does."
        ),
        sources=(NOVA_CONFIG,),
        by_hand="virsh edit GUEST  # <video><model type='virtio'/></video>",
        undo_by_hand="virsh edit GUEST  # the <model> that was there before",
        applies=(ARM,),
        subjects=GUESTS,
        wanted=Wanted("virtio | ramfb | bochs"),
        judge=_video,
    ),
    Item(
        id="guest.cpu_mode",
        title="Guests see the CPU that the host has",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="with host-passthrough, live migration needs identical CPUs",
        effect=NO_FIGURE,
        why=(
            "On aarch64, host-passthrough is what KVM can do; host-model is refused. Guests then "
            "migrate between identical CPUs only: not between x86 and Arm, nor between "
            "generations of Kunpeng without the patches of the cross-generation guide, and that "
            "cannot be told from one host. On x86, a named model of the oldest generation in the "
            "fleet keeps migration possible; qemu64 throws away a decade of instructions."
        ),
        sources=(NOVA_CONFIG, TOPOLOGY_GUIDE, LIBVIRT_DOMAIN),
        by_hand="virsh edit GUEST  # <cpu mode='host-passthrough' check='none'>",
        undo_by_hand="virsh edit GUEST  # the <cpu> that was there before",
        rule="R7",
        subjects=GUESTS,
        judge=_cpu_mode,
    ),
    Item(
        id="guest.gic",
        title="Guests on aarch64 have a GICv3",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="none for a guest with a current kernel",
        effect=NO_FIGURE,
        why=(
            "KVM uses the virtual interface of the host's GIC for a GICv3 guest. Version 2 is "
            "there for guests that know nothing else: it ends at 8 vCPUs."
        ),
        sources=(TOPOLOGY_GUIDE, LIBVIRT_DOMAIN),
        by_hand="virsh edit GUEST  # in <features>: <gic version='3'/>",
        undo_by_hand="virsh edit GUEST  # <gic version='2'/>",
        applies=(ARM,),
        subjects=GUESTS,
        wanted=Wanted("3 | host | 4"),
        judge=_gic,
    ),
)
