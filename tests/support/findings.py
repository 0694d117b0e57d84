"""A report with every verdict and severity, of items made up for it: the catalogue may change."""

from __future__ import annotations

from typing import Any

from virtboost.catalogue.item import HOST, AnyItem, Condition, Effect, Item, Ok, Outcome, Subjects
from virtboost.catalogue.wanted import Wanted
from virtboost.model.finding import Report, Result
from virtboost.model.host import Host

HOSTILE = "web\x1b[2J\u202egnp\n</script><img src=x onerror=alert(1)>"
"""A guest's name that clears a screen, turns text round, begins a line and ends a script."""


def _judge(host: Host, subject: object, wanted: Wanted) -> Outcome:
    return Ok("")


def _item(id: str, title: str, **fields: Any) -> AnyItem:
    fields = {
        "layer": "kernel",
        "platforms": ("kvm", "openstack"),
        "severity": "warning",
        "takes_effect": "live",
        "risk": "programs outside guests that gained from it lose it",
        "effect": Effect(figure="no published figure"),
        "why": "A guest with pages of its own gets nothing from it and pays for its scans.",
        "sources": ("Documentation/admin-guide/mm/transhuge.rst",),
        "by_hand": "echo never > /sys/kernel/mm/transparent_hugepage/enabled",
        "undo_by_hand": "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        "subjects": HOST,
        "judge": _judge,
        **fields,
    }
    return Item(id=id, title=title, **fields)


ITEMS = (
    _item(
        "memory.thp",
        "Transparent huge pages off where guests have static ones",
        effect=Effect(
            figure="about 5 %",
            conditions="off together with 512 MB pages, CPU benchmark in a guest, CentOS 7.6",
            source="Kunpeng BoostKit for Virtualization overview (2021), KVM tuning table",
        ),
        applies=(
            Condition(
                when="a guest has static huge pages",
                otherwise="no guest has static huge pages",
                holds=bool,
            ),
        ),
        conflicts=("memory.thp-in-guest",),
        rule="R5",
        wanted=Wanted("never | madvise"),
    ),
    _item(
        "guest.memory-strict",
        "A guest's memory comes from its own nodes only",
        severity="critical",
        layer="guest",
        takes_effect="guest restart",
        by_hand="virsh numatune GUEST --mode strict --nodeset NODES --config\nvirsh shutdown GUEST",
        subjects=Subjects(kind="guest", select=lambda host: (), none="there is no guest"),
    ),
    _item(
        "irq.nic-on-node",
        "Interrupts of a network interface on its own node",
        severity="advice",
        layer="network",
        platforms=("kvm", "docker", "ovs"),
        usage="poc_only",
    ),
    _item("bios.refresh", "Memory refresh rate on Auto", layer="bios", takes_effect="reboot"),
)


def _result(item: str, object: str, verdict: Any, severity: Any, **fields: Any) -> Result:
    return Result(item=item, object=object, verdict=verdict, severity=severity, **fields)


REPORT = Report(
    host="ssh://root@kp1.example.net",
    hostname="kp1",
    results=(
        _result(
            "memory.thp",
            "host",
            "finding",
            "warning",
            found="always",
            wanted="never | madvise",
            reason="khugepaged scans and compacts memory beside guests that have their own pages",
        ),
        _result(
            "guest.memory-strict",
            "guest db1",
            "finding",
            "critical",
            found="no rule, 4 of 16 GiB on node 1",
            wanted="strict on node 0",
            reason="a quarter of its memory is on the other socket, at distance 32 instead of 10",
        ),
        _result("guest.memory-strict", "guest db2", "ok", "critical", found="strict on node 0"),
        _result(
            "guest.memory-strict",
            f"guest {HOSTILE}",
            "finding",
            "critical",
            found="preferred",
            wanted="strict on node 2",
            reason=f"the memory of {HOSTILE} may come from any node when node 2 is full",
        ),
        _result(
            "guest.memory-strict",
            "guest 数据库服务器-生产环境-主节点-01",
            "finding",
            "critical",
            found="preferred",
            wanted="strict on nodes 0-1",
            reason="虚拟机的内存可能来自任何节点" * 8,
        ),
        _result(
            "irq.nic-on-node",
            "interface enp125s0f1np1",
            "finding",
            "advice",
            found="12 of 16 interrupts on node 2",
            wanted="all on node 0: CPUs 0-31",
            reason="each of them crosses the sockets on its way to the queue's memory",
        ),
        _result("bios.refresh", "host", "unknown", "warning", reason="BIOS settings; ask the BMC"),
        _result(
            "irq.nic-on-node",
            "interface virbr0",
            "not_applicable",
            "advice",
            reason="no interrupts of its own",
        ),
    ),
)
