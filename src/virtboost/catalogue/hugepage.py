"""Items on static huge pages: sizes that the kernel has, pools that hold the guests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from virtboost.catalogue.commands import with_arguments
from virtboost.catalogue.conditions import ARM, bound_bytes
from virtboost.catalogue.guest import by_virsh
from virtboost.catalogue.item import (
    HOST,
    NO_FIGURE,
    Condition,
    Effect,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Subjects,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import (
    HUGETLB,
    HUGETLB_ARM,
    KERNEL_PARAMETERS,
    LIBVIRT_DOMAIN,
    OVERVIEW,
    OVERVIEW_FIGURE,
)
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import (
    Change,
    GuestMemoryBacking,
    HugepagePoolSize,
    KernelArgument,
)
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.memory import Memory
from virtboost.model.wording import argument_size, listed, size

_KIB, _MIB = 1 << 10, 1 << 20

PMD_SIZES = {4 * _KIB: 2 * _MIB, 16 * _KIB: 32 * _MIB, 64 * _KIB: 512 * _MIB}
"""The size that fits a base page best: one entry of the next table up (HugeTLBpage on ARM64)."""

_SIZE = re.compile(r"(\d{1,18})([KMGTkmgt]?)", re.ASCII)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

_SIZE_ARGUMENTS = ("hugepagesz", "default_hugepagesz")


def guest_page_size(memory: Memory, guest: Guest) -> int | None:
    """Return the size of the huge pages of a guest; None where it has none, or several sizes."""
    if len(guest.page_sizes_bytes) != 1:
        return None
    return guest.page_sizes_bytes[0] or memory.default_hugepage_bytes


def _natural_size(memory: Memory) -> int | None:
    if memory.page_size_bytes is None:
        return memory.thp_size_bytes
    return PMD_SIZES.get(memory.page_size_bytes)


def _sizes(sizes_bytes: Sequence[int]) -> str:
    return " | ".join(size(each) for each in sizes_bytes)


# Sizes on the kernel command line.


def _arguments(host: Host, _: Host, wanted: Wanted) -> Outcome:
    kernel, memory = host.kernel, host.memory
    if kernel.command_line is None:
        return Unknown("the kernel command line")
    asked = [(name, text) for name in _SIZE_ARGUMENTS for text in kernel.arguments(name)]
    if not asked:
        return NotApplicable("the kernel command line asks for no size of huge pages")
    if not memory.hugepage_sizes_bytes:
        return Unknown("the sizes of huge pages that this kernel has")
    found = " ".join(f"{name}={text}" for name, text in asked)
    bad = [pair for pair in asked if _parse_size(pair[1]) not in memory.hugepage_sizes_bytes]
    if not bad:
        return Ok(found)
    names = listed(f"{name}={text}" for name, text in bad)
    return Wrong(
        found=found,
        wanted=_sizes(memory.hugepage_sizes_bytes),
        reason=f"a kernel with base pages of {size(memory.page_size_bytes)} has no such size: it "
        f"ignores {names} and the hugepages= that follows",
        changes=_right_arguments(host),
    )


def _parse_size(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    return int(match[1]) * _UNITS[match[2].upper()] if match else None


def _right_arguments(host: Host) -> tuple[Change, ...]:
    """Return as much memory in pages that fit; nothing where several sizes are asked for."""
    kernel, natural = host.kernel, _natural_size(host.memory)
    asked, counts = kernel.arguments("hugepagesz"), kernel.arguments("hugepages")
    if natural is None or len(asked) > 1 or len(counts) != 1 or not counts[0].isdecimal():
        return ()
    page = _parse_size((asked or kernel.arguments("default_hugepagesz"))[0])
    if not page or page % natural:
        return ()
    text = argument_size(natural)
    pages = int(counts[0][:12]) * (page // natural)
    return (
        KernelArgument(name="default_hugepagesz", value=text),
        KernelArgument(name="hugepagesz", value=text),
        KernelArgument(name="hugepages", value=str(pages)),
    )


# Sizes that guests ask for.


def _huge_guests(host: Host) -> Sequence[tuple[str, Guest]]:
    return [(guest.name, guest) for guest in host.guests if guest.page_sizes_bytes]


HUGE_GUESTS: Subjects[Guest] = Subjects(
    kind="guest", select=_huge_guests, none="no guest asks for huge pages", gap="guests"
)


def _size(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    memory = host.memory
    if not memory.hugepage_sizes_bytes:
        return Unknown("the sizes of huge pages that this kernel has")
    asked = [each or memory.default_hugepage_bytes for each in guest.page_sizes_bytes]
    if None in asked:
        return Unknown("the default size of huge pages")
    told = [each for each in asked if each is not None]
    missing = [each for each in told if each not in memory.hugepage_sizes_bytes]
    if not missing:
        return Ok(_sizes(told))
    natural = _natural_size(memory)
    change = natural is not None and natural in memory.hugepage_sizes_bytes
    return Wrong(
        found=_sizes(told),
        wanted=_sizes(memory.hugepage_sizes_bytes),
        reason=f"{guest.name} cannot start: a kernel with base pages of "
        f"{size(memory.page_size_bytes)} has no pages of {_sizes(missing)}",
        changes=by_virsh(host, GuestMemoryBacking(guest=guest.name, page_size_bytes=natural))
        if natural is not None and change
        else (),
    )


# Pools that hold the guests.


class Pool(Struct, frozen=True, kw_only=True):
    """What guests want of the pages of one size, on one node or wherever they are."""

    size_bytes: int
    node_id: int | None
    """None: of all nodes together."""
    running: tuple[str, ...]
    """Guests that have their pages."""
    waiting: dict[str, int]
    """Pages that guests take when they start."""


def _pools(host: Host) -> Sequence[tuple[str, Pool]]:
    sizes = {guest_page_size(host.memory, guest) for guest in host.guests}
    return [pair for each in sorted(filter(None, sizes)) for pair in _pools_of(host, each)]


def _pools_of(host: Host, size_bytes: int) -> Iterator[tuple[str, Pool]]:
    guests = [g for g in host.guests if guest_page_size(host.memory, g) == size_bytes]
    bound = [(guest, bound_bytes(guest)) for guest in guests]
    for node_id in sorted({node_id for _, nodes in bound for node_id in nodes}):
        wants = [(guest, nodes[node_id]) for guest, nodes in bound if node_id in nodes]
        yield f"{size(size_bytes)} on node {node_id}", _pool(size_bytes, node_id, wants)
    if any(sum(nodes.values()) < guest.memory_bytes for guest, nodes in bound):
        wants = [(guest, guest.memory_bytes) for guest in guests]
        yield f"{size(size_bytes)} on all nodes", _pool(size_bytes, None, wants)


def _pool(size_bytes: int, node_id: int | None, wants: Sequence[tuple[Guest, int]]) -> Pool:
    active = ("running", "paused")
    return Pool(
        size_bytes=size_bytes,
        node_id=node_id,
        running=tuple(guest.name for guest, _ in wants if guest.state in active),
        waiting={
            guest.name: -(-count // size_bytes)
            for guest, count in wants
            if guest.state not in active
        },
    )


def _pool_size(host: Host, pool: Pool, wanted: Wanted) -> Outcome:
    nodes = [node for node in host.topology.numa_nodes if pool.node_id in (None, node.id)]
    found = [each for node in nodes if (each := node.pool(pool.size_bytes)) is not None]
    if not found:
        return Unknown(f"the pool of {size(pool.size_bytes)} pages")
    total, free = sum(each.total for each in found), sum(each.free for each in found)
    told = f"{free} of {total} pages free"
    missing = sum(pool.waiting.values()) - free
    if missing <= 0:
        runs = f"; {listed(pool.running)} run from it" if pool.running else ""
        return Ok(f"{told}{runs}")
    takes = listed(f"{name} takes {pages}" for name, pages in pool.waiting.items())
    change = HugepagePoolSize(
        node_id=nodes[0].id, size_bytes=pool.size_bytes, pages=total + missing
    )
    room = nodes[0].free_bytes if pool.node_id is not None else None
    fits = room is not None and room >= missing * pool.size_bytes
    return Wrong(
        found=told,
        wanted=f"{missing + free} pages free",
        reason=f"{takes} at start"
        + (f"; the node has only {size(room)} free" if room is not None and not fits else ""),
        changes=(change,) if fits else (),
    )


# Pages that the isolation of memory errors needs.


def _ras_guests(host: Host) -> Sequence[tuple[str, Guest]]:
    return [(guest.name, guest) for guest in host.guests if guest.features.get("ras") == "on"]


def _ras(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    page = host.memory.page_size_bytes
    if page is None:
        return Unknown("the base page size")
    if page == 4 * _KIB:
        return Ok(size(page))
    return Wrong(
        found=size(page),
        wanted="4 KiB",
        reason=f"{guest.name} has <ras/>, which isolates a bad page only on a host with 4 KiB base "
        "pages; such a kernel has no 512 MiB huge pages",
    )


ASKS_FOR_SIZES = Condition(
    when="the kernel command line has hugepagesz= or default_hugepagesz=",
    otherwise="the kernel command line asks for no size of huge pages",
    holds=lambda host: any(host.kernel.arguments(name) for name in _SIZE_ARGUMENTS),
    gap="kernel command line",
)


ITEMS = (
    Item(
        id="hugepage.arguments",
        title="Huge page sizes on the kernel command line are ones that the kernel has",
        layer="kernel",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="warning",
        takes_effect="reboot",
        risk="memory in the pools is lost to everything that does not ask for huge pages",
        effect=NO_FIGURE,
        why=(
            "The size of a huge page follows from the base page: 2 MB, 32 MB and 1 GB (and 64 KB) "
            "with 4 KiB pages, 2 MB and 512 MB with 64 KiB pages. Guides for CentOS 7.6 on "
            "Kunpeng ask for 512 MB because that kernel has 64 KiB pages; others, such as "
            "Debian's, have 4 KiB. A size that does not exist is ignored, and so is the hugepages= "
            "behind it: the pool is empty and nobody says so."
        ),
        sources=(HUGETLB_ARM, HUGETLB, KERNEL_PARAMETERS, OVERVIEW),
        by_hand=with_arguments("default_hugepagesz=2M hugepagesz=2M hugepages=PAGES"),
        undo_by_hand=with_arguments("default_hugepagesz=OLD hugepagesz=OLD hugepages=OLD"),
        rule="R11",
        applies=(ASKS_FOR_SIZES,),
        subjects=HOST,
        judge=_arguments,
    ),
    Item(
        id="hugepage.size",
        title="Guests ask for huge pages of a size that the kernel has",
        layer="guest",
        platforms=("kvm", "openstack", "ovirt"),
        severity="critical",
        takes_effect="guest restart",
        risk="the pool of the new size must be filled before the guest starts",
        effect=Effect(
            figure="about 5 %",
            conditions="THP off together with 512 MB pages, CPU benchmark in a guest, CentOS 7.6 "
            "(64 KiB base pages)",
            source=OVERVIEW_FIGURE,
        ),
        why=(
            "The advice to use 512 MB pages is for kernels with 64 KiB base pages. On a 4 KiB "
            "kernel that size does not exist and libvirt refuses to start the guest; 2 MB, 32 MB "
            "or 1 GB do the same work there. 1 GB pages are best reserved at boot."
        ),
        sources=(HUGETLB_ARM, LIBVIRT_DOMAIN, OVERVIEW),
        by_hand=(
            "virsh edit GUEST  # <memoryBacking><hugepages><page size='2' unit='MiB'/>"
            "</hugepages></memoryBacking>"
        ),
        undo_by_hand="virsh edit GUEST  # put the old <page size=.../> back",
        rule="R11",
        subjects=HUGE_GUESTS,
        judge=_size,
    ),
    Item(
        id="hugepage.pool",
        title="Huge page pools hold the guests that are to start from them",
        layer="host",
        platforms=("kvm", "openstack", "ovirt"),
        severity="warning",
        takes_effect="live",
        risk="a larger pool leaves less memory for everything else on the node; pages of 1 GB are "
        "rarely contiguous on a host that has run for a while",
        effect=NO_FIGURE,
        why=(
            "A guest with huge pages and strict memory takes all of them from its own node, and "
            "does not start where they are missing, however many other nodes have. hugepages= on "
            "the command line spreads pages evenly over nodes; guests are rarely spread so. Guests "
            "that are shut off count, because nothing tells whether they are meant to start again: "
            "undefine those that are not."
        ),
        sources=(HUGETLB, LIBVIRT_DOMAIN),
        by_hand=(
            "echo PAGES > /sys/devices/system/node/nodeN/hugepages/hugepages-SIZEkB/nr_hugepages\n"
            "# at boot: hugepages= on the command line, or a unit that writes the same file"
        ),
        undo_by_hand=(
            "echo OLD > /sys/devices/system/node/nodeN/hugepages/hugepages-SIZEkB/nr_hugepages"
        ),
        rule="R16",
        subjects=Subjects(
            kind="pool", select=_pools, none="no guest asks for huge pages", gap="guests"
        ),
        judge=_pool_size,
    ),
    Item(
        id="hugepage.ras",
        title="4 KiB base pages where a guest wants bad pages isolated",
        layer="kernel",
        platforms=("kvm", "openstack", "ovirt"),
        severity="warning",
        takes_effect="reboot",
        risk="another kernel; huge pages of 512 MB are lost with 64 KiB base pages",
        effect=NO_FIGURE,
        why=(
            "With <ras/> an uncorrectable memory error kills one process of the guest and not the "
            "guest, but the host must be able to take out a single 4 KiB page. A kernel with "
            "64 KiB base pages and 512 MB huge pages excludes that: it is one or the other."
        ),
        sources=(
            "BoostVirt, VM single-core and single-page exception handling: "
            "https://gitcode.com/boostkit/boostvirt/tree/master/docs/en",
            HUGETLB_ARM,
        ),
        by_hand="# boot a kernel with 4 KiB base pages, or take <ras/> out of the guest",
        undo_by_hand="# boot the kernel from before",
        rule="R12",
        applies=(ARM,),
        subjects=Subjects(
            kind="guest",
            select=_ras_guests,
            none="no guest has <ras/>",
            gap="guests",
        ),
        judge=_ras,
    ),
)
