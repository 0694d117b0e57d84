"""Open vSwitch: its database, and the PMD threads of its userspace datapath.

Source: ovs-vswitchd.conf.db(5); RFC 7047 for values in JSON; ovs-vswitchd(8) for
``dpif-netdev/pmd-rxq-show``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from virtboost.model.ovs import Ovs, OvsBridge, OvsInterface, PmdThread
from virtboost.scan.gaps import Gaps
from virtboost.scan.texts import natural, problem
from virtboost.transport.redact import secret_name
from virtboost.transport.source import Capture, Command, Source

_LIMIT = "--timeout=10"

DATABASE = Command(
    "ovs",
    (
        *("ovs-vsctl", _LIMIT, "--format=json", "list", "Open_vSwitch"),
        *("--", "--columns=name,datapath_type,ports", "list", "Bridge"),
        *("--", "--columns=_uuid,interfaces", "list", "Port"),
        *("--", "--columns=_uuid,name,type,options,other_config,status", "list", "Interface"),
    ),
)

VERSION = Command("ovs-version", ("ovs-appctl", _LIMIT, "version"))

PMDS = Command("ovs-pmds", ("ovs-appctl", _LIMIT, "dpif-netdev/pmd-rxq-show"))

SOURCES: tuple[Source, ...] = (DATABASE, VERSION, PMDS)

Row = dict[str, Any]

_TABLES = 4

_THREAD = re.compile(r"^pmd thread numa_id (\d{1,5}) core_id (\d{1,5}):", re.MULTILINE)
_QUEUE = re.compile(r"port: (\S+)\s+queue-id:\s*(\d+)")
_LOAD = re.compile(r"(?:pmd usage|overhead):\s*(NOT AVAIL|\d+(?:\.\d+)?)")


def parse(capture: Capture, gaps: Gaps) -> Ovs | None:
    """Return Open vSwitch; None, and a gap named so, where its database does not answer."""
    outputs = capture.outputs(DATABASE)
    if not outputs:
        return None
    tables = [list(_rows(line)) for line in outputs[0].stdout.splitlines()]
    if outputs[0].status != 0 or len(tables) != _TABLES or not tables[0]:
        reason = problem(outputs[0]) if outputs[0].status else "not its four tables in JSON"
        gaps.add("Open vSwitch", "ovs-vsctl", reason)
        return None
    root, bridges, ports, interfaces = tables[0][0], *tables[1:]
    pmds = tuple(_pmds(capture, gaps))
    return Ovs(
        version=_version(capture.stdout(VERSION)) or _text(root.get("ovs_version")),
        dpdk_initialized=root.get("dpdk_initialized") is True,
        other_config=_map(root.get("other_config")),
        bridges=tuple(sorted(_bridges(bridges, ports, interfaces), key=lambda b: b.name)),
        pmds=pmds,
    )


def _rows(table: str) -> Iterator[Row]:
    """Yield the rows of a table that ``ovs-vsctl --format=json`` prints, values by column."""
    try:
        told = msgspec.json.decode(table, type=_Table)
    except msgspec.DecodeError:
        return
    for row in told.data:
        yield dict(zip(told.headings, row, strict=False))


class _Table(msgspec.Struct):
    headings: list[str]
    data: list[list[Any]]


def _set(found: Any) -> list[Any]:
    """Return the values of a set, which is ``["set", [...]]`` or a lone value (RFC 7047, 5.1)."""
    match found:
        case ["set", list(values)]:
            return values
        case None:
            return []
    return [found]


def _map(found: Any) -> dict[str, str]:
    """Return ``["map", [[key, value], ...]]`` without secrets, such as a tunnel's IPsec key."""
    match found:
        case ["map", list(pairs)]:
            return {
                pair[0]: pair[1]
                for pair in pairs
                if isinstance(pair, list)
                and len(pair) == 2
                and all(isinstance(text, str) for text in pair)
                and not secret_name(pair[0])
            }
    return {}


def _text(found: Any) -> str | None:
    return found if isinstance(found, str) and found else None


def _reference(found: Any) -> str | None:
    match found:
        case ["uuid", str(uuid)]:
            return uuid
    return None


def _references(found: Any) -> Iterator[str]:
    yield from (uuid for uuid in map(_reference, _set(found)) if uuid is not None)


def _bridges(bridges: list[Row], ports: list[Row], interfaces: list[Row]) -> Iterator[OvsBridge]:
    of_port = {
        _reference(row.get("_uuid")): list(_references(row.get("interfaces"))) for row in ports
    }
    by_uuid = {_reference(row.get("_uuid")): row for row in interfaces}
    for bridge in bridges:
        uuids = (i for port in _references(bridge.get("ports")) for i in of_port.get(port, ()))
        found = (_interface(by_uuid[uuid]) for uuid in uuids if uuid in by_uuid)
        yield OvsBridge(
            name=_text(bridge.get("name")) or "",
            datapath_type=_text(bridge.get("datapath_type")) or "system",
            interfaces=tuple(sorted(found, key=lambda interface: interface.name)),
        )


def _interface(row: Row) -> OvsInterface:
    status = _map(row.get("status"))
    return OvsInterface(
        name=_text(row.get("name")) or "",
        type=_text(row.get("type")) or "system",
        options=_map(row.get("options")),
        other_config=_map(row.get("other_config")),
        node_id=natural(status.get("numa_id") or status.get("numa")),
    )


def _version(text: str | None) -> str | None:
    """Read ``ovs-vswitchd (Open vSwitch) 3.1.0``."""
    found = re.match(r"ovs-vswitchd \(Open vSwitch\) (\S+)", text or "")
    return found[1] if found else None


def _pmds(capture: Capture, gaps: Gaps) -> Iterator[PmdThread]:
    for output in capture.outputs(PMDS):
        if output.status != 0:
            gaps.add("PMD threads", "ovs-appctl dpif-netdev/pmd-rxq-show", problem(output))
        _, *parts = _THREAD.split(output.stdout)
        for node_id, pcpu_id, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            yield _pmd(int(node_id), int(pcpu_id), text)


def _pmd(node_id: int, pcpu_id: int, text: str) -> PmdThread:
    return PmdThread(
        pcpu_id=pcpu_id,
        node_id=node_id,
        isolated=re.search(r"isolated : true", text) is not None,
        queues=tuple(f"{port}:{queue}" for port, queue in _QUEUE.findall(text)),
        busy_ratio=_busy(_LOAD.findall(text)),
    )


def _busy(loads: list[str]) -> float | None:
    """Add up the percentages of the last minute that each queue and the thread itself took."""
    if not loads or "NOT AVAIL" in loads:
        return None
    return min(1.0, sum(float(load) for load in loads) / 100)
