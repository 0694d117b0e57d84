"""One pCPU of the picture: who may use it, what is special about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.report.irq import amount, interfaces_by_cpu, taken
from virtboost.report.workload import Workload, painted

FLAGS = {
    "i": "isolated from the scheduler (isolcpus)",
    "t": "without a tick while it runs one task (nohz_full)",
    "q": "takes interrupts of a network interface",
}
"""What a letter in the corner of a pCPU says."""

_LISTED_USERS = 20
"""How many users the words about a pCPU name."""


class Stripe(Struct, frozen=True, kw_only=True):
    """One user of a pCPU: a part of its cell."""

    workload: Workload
    helper: bool
    """Whether only its emulator or I/O threads run here."""


class Cell(Struct, frozen=True, kw_only=True):
    """One pCPU."""

    pcpu_id: int
    title: str
    """Everything about it in words."""
    stripes: tuple[Stripe, ...]
    more: int
    """How many users there is no room for."""
    pmd: bool
    """Whether a PMD thread of Open vSwitch runs on it."""
    flags: str
    """Letters of ``FLAGS``."""
    load_percent: float
    """Interrupts that it took, of the pCPU that took most."""


class _Facts(Struct, frozen=True, kw_only=True):
    """What is known by pCPU."""

    users: dict[int, list[Workload]]
    interrupts: dict[int, int]
    interfaces: dict[int, tuple[str, ...]]
    pmds: CpuSet
    cores: dict[int, int]
    isolated: CpuSet
    nohz_full: CpuSet


def cells(host: Host, found: Sequence[Workload], *, room: int) -> dict[int, Cell]:
    """Return the online pCPUs by id.

    Args:
        host: What was scanned.
        found: Its guests and containers.
        room: How many users a cell can show side by side.
    """
    facts = _facts(host, found)
    return {pcpu: _cell(facts, pcpu, room) for pcpu in host.topology.online}


def _facts(host: Host, found: Sequence[Workload]) -> _Facts:
    users: dict[int, list[Workload]] = {}
    for pcpu, workload in painted(found):
        users.setdefault(pcpu, []).append(workload)
    return _Facts(
        users=users,
        interrupts=taken(host),
        interfaces=interfaces_by_cpu(host),
        pmds=CpuSet() if host.ovs is None else host.ovs.pmd_cpus,
        cores={pcpu: core.id for core in host.topology.cores for pcpu in core.cpus},
        isolated=host.topology.isolated,
        nohz_full=host.topology.nohz_full,
    )


def _cell(facts: _Facts, pcpu: int, room: int) -> Cell:
    users = facts.users.get(pcpu, [])
    left = room - (pcpu in facts.pmds)
    shown = users if len(users) <= left else users[: left - 1]
    most = max(facts.interrupts.values(), default=1)
    return Cell(
        pcpu_id=pcpu,
        title=". ".join(_words(facts, pcpu)),
        stripes=tuple(Stripe(workload=user, helper=pcpu not in user.cpus) for user in shown),
        more=len(users) - len(shown),
        pmd=pcpu in facts.pmds,
        flags=_flags(facts, pcpu),
        load_percent=100 * facts.interrupts.get(pcpu, 0) / most,
    )


def _flags(facts: _Facts, pcpu: int) -> str:
    said = (
        ("i", pcpu in facts.isolated),
        ("t", pcpu in facts.nohz_full),
        ("q", pcpu in facts.interfaces),
    )
    return "".join(flag for flag, holds in said if holds)


def _words(facts: _Facts, pcpu: int) -> Iterator[str]:
    core = facts.cores.get(pcpu)
    yield f"CPU {pcpu}" if core is None else f"CPU {pcpu}, core {core}"
    if pcpu in facts.pmds:
        yield "A PMD thread of Open vSwitch"
    users = facts.users.get(pcpu, [])
    for user in users[:_LISTED_USERS]:
        duty = user.duties.get(pcpu)
        yield f"{user.tag}: {user.kind} {user.name}" + (f" ({duty})" if duty else "")
    if len(users) > _LISTED_USERS:
        yield f"and {len(users) - _LISTED_USERS} more"
    yield from (FLAGS[flag].capitalize() for flag in _flags(facts, pcpu) if flag != "q")
    if pcpu in facts.interfaces:
        yield f"Interrupts of {', '.join(facts.interfaces[pcpu])}"
    if pcpu in facts.interrupts:
        yield f"{amount(facts.interrupts[pcpu])} interrupts since boot"
