"""Hosts and findings as one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from virtboost import __version__
from virtboost.catalogue.item import AnyItem
from virtboost.model.finding import SEVERITIES, Report, Result, Severity, Verdict
from virtboost.model.host import Host
from virtboost.model.wording import size
from virtboost.report.picture import Picture, picture
from virtboost.report.printable import printable
from virtboost.report.terminal import counts, machine

LONGEST_NAME = 120
"""Characters of a name from a host that a page shows."""


class Row(Struct, frozen=True, kw_only=True):
    """One item of the findings and every object that it was found of."""

    item: AnyItem
    severity: Severity
    results: tuple[Result, ...]


class Mark(Struct, frozen=True, kw_only=True):
    """That an object of the picture has findings."""

    severity: Severity
    """The worst of them."""
    count: int
    anchor: str
    """Where on the page the worst is explained."""


class HostPage(Struct, frozen=True, kw_only=True):
    """One host's part of the page."""

    anchor: str
    name: str
    place: str
    """What the user called the host; empty where that is its name."""
    host: Host
    report: Report
    facts: tuple[tuple[str, str], ...]
    counts: dict[Severity, int]
    machine: str
    """What machine it is, in a line."""
    shape: str
    """How many sockets, nodes and CPUs it has."""
    platforms: tuple[str, ...]
    """For whom the findings matter."""
    rows: tuple[Row, ...]
    marks: dict[str, Mark]
    """By object: ``node 1``, ``guest web1``."""
    others: tuple[tuple[str, tuple[Result, ...]], ...]
    """(heading, results) of what cannot be told, does not apply, and is ok."""
    picture: Picture


def hosts_page(
    checked: Sequence[tuple[Host, Report]],
    failed: Sequence[tuple[str, str]],
    items: Iterable[AnyItem],
    *,
    made_at: datetime,
) -> str:
    """Return a page on hosts: what was found, and a picture of each.

    It needs no network: its policy (``Content-Security-Policy``) forbids every load, and every
    script but its own.

    Args:
        checked: Hosts with what a check found of them.
        failed: (name, error) of each host that could not be read.
        items: The items of the reports.
        made_at: When, with a time zone.
    """
    by_id = {item.id: item for item in items}
    script = source("script.js")
    return filled(
        "page.html",
        made_at,
        pages=[_host_page(f"h{n}", *pair, by_id) for n, pair in enumerate(checked)],
        failed=failed,
        severities=SEVERITIES,
        script=Markup(script),
        script_hash=_hash(script),
    )


def filled(template: str, made_at: datetime, **values: object) -> str:
    """Return a page: a template that extends ``document.html``, with what is its own.

    Args:
        template: Its name.
        made_at: When, with a time zone.
        values: What only this template uses.
    """
    return (
        _environment()
        .get_template(template)
        .render(
            style=Markup(source("style.css")),  # the product's own file
            made_at=f"{made_at:%Y-%m-%d %H:%M %Z}",
            version=__version__,
            **values,
        )
    )


def _environment() -> Environment:
    """Return what fills templates: nothing unprintable comes through, and nothing unescaped."""
    made = Environment(
        loader=PackageLoader("virtboost.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["size"] = size
    made.filters["short"] = lambda text: printable(text, LONGEST_NAME)
    return made


def _shown(value: object) -> object:
    """Let no text into the page that is not printable; markup is the templates' own."""
    return printable(value) if type(value) is str else value


def source(name: str) -> str:
    """Return the text of a template."""
    return files("virtboost.report").joinpath("templates", name).read_text("utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _host_page(anchor: str, host: Host, report: Report, items: dict[str, AnyItem]) -> HostPage:
    rows = tuple(_rows(report, items))
    name = report.hostname or report.host
    return HostPage(
        anchor=anchor,
        name=name,
        place="" if report.host in ("local", name) else report.host,
        host=host,
        report=report,
        facts=tuple(_facts(host)),
        counts={
            severity: sum(result.severity == severity for result in report.findings)
            for severity in SEVERITIES
        },
        machine=machine(host),
        shape=counts(host.topology),
        platforms=tuple(sorted({name for row in rows for name in row.item.platforms})),
        rows=rows,
        marks=_marks(anchor, rows),
        others=tuple(_others(report)),
        picture=picture(host),
    )


def _rows(report: Report, items: dict[str, AnyItem]) -> Iterator[Row]:
    for name, group in groupby(report.findings, lambda result: result.item):
        results = tuple(group)
        yield Row(item=items[name], severity=results[0].severity, results=results)


def _marks(anchor: str, rows: Iterable[Row]) -> dict[str, Mark]:
    marks: dict[str, Mark] = {}
    for row in rows:
        for result in row.results:
            mark = marks.get(result.object)
            marks[result.object] = Mark(
                severity=mark.severity if mark else row.severity,
                count=mark.count + 1 if mark else 1,
                anchor=mark.anchor if mark else f"{anchor}-{row.item.id}",
            )
    return marks


def _others(report: Report) -> Iterator[tuple[str, tuple[Result, ...]]]:
    headings: tuple[tuple[str, Verdict], ...] = (
        ("Cannot tell", "unknown"),
        ("Does not apply", "not_applicable"),
        ("Is as it should be", "ok"),
    )
    for heading, verdict in headings:
        results = tuple(result for result in report.results if result.verdict == verdict)
        if results:
            yield heading, results


def _facts(host: Host) -> Iterator[tuple[str, str]]:
    """Yield what an engineer asks first of a machine; what is not known is left out."""
    firmware, kernel, memory, libvirt = host.firmware, host.kernel, host.memory, host.libvirt
    said: tuple[tuple[str, tuple[str | None, ...]], ...] = (
        ("Server", (firmware.vendor, firmware.product)),
        ("BIOS", (firmware.bios_vendor, firmware.bios_version, firmware.bios_date)),
        ("CPU", (host.cpu.generation or host.cpu.model or host.cpu.vendor, host.arch)),
        ("Memory", (size(memory.total_bytes) if memory.total_bytes else None,)),
        ("Base page", (size(memory.page_size_bytes) if memory.page_size_bytes else None,)),
        ("Transparent huge pages", (memory.thp_enabled,)),
        ("Distribution", (kernel.distribution, kernel.distribution_version)),
        ("Kernel", (kernel.release,)),
        (
            "libvirt",
            (libvirt.version, libvirt.hypervisor) if libvirt else (),
        ),
        ("Containers", tuple(f"{engine.name} {engine.version or ''}" for engine in host.engines)),
        ("Open vSwitch", (host.ovs.version,) if host.ovs else ()),
    )
    for word, parts in said:
        text = " ".join(part for part in parts if part)
        if text:
            yield word, text
