"""The site's own file, ``virtboost.yaml``: other severities, other wanted values, own items.

An item of the site becomes an `Item` like every other, with the same verdicts and messages.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from virtboost.catalogue.item import (
    HOST,
    NO_FIGURE,
    AnyItem,
    Effect,
    Effectiveness,
    Item,
    Layer,
    NotApplicable,
    Ok,
    Outcome,
    Platform,
    Subjects,
    Unknown,
    Wrong,
)
from virtboost.catalogue.wanted import Wanted, parse_wanted
from virtboost.errors import InputError
from virtboost.model.change import Change, KernelFile, Sysctl
from virtboost.model.finding import Severity
from virtboost.model.host import Host


class Override(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the site changes of an item of the catalogue."""

    severity: Severity | None = None
    wanted: str | None = None
    """``never``, ``a | b``, ``<= 10``."""
    enabled: bool = True
    """False: the item is not checked."""


class SiteItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An item of the site's own."""

    id: str
    title: str
    look_at: str
    """``sysctl:vm.swappiness``, ``file:/sys/...`` (with ``*``: each file is an object),
    ``argument:iommu.passthrough`` (kernel command line), ``module:kvm.halt_poll_ns``,
    ``bios:AttributeName``, ``service:irqbalance`` (active or inactive), ``ovs:hw-offload``."""
    wanted: str
    """``never``, ``a | b``, ``<= 10``."""
    applies_when: dict[str, str] = {}
    """Facts that must hold, such as ``{arch: aarch64, guests: ">= 1"}``."""
    layer: Layer = "host"
    platforms: tuple[Platform, ...] = ("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs")
    severity: Severity = "warning"
    usage: Literal["commercial", "poc_only"] = "commercial"
    takes_effect: Effectiveness = "live"
    why: str = ""
    risk: str = ""
    effect: Effect = NO_FIGURE
    sources: tuple[str, ...] = ()
    by_hand: str = ""
    undo_by_hand: str = ""


class Site(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A site's file."""

    schema: Literal["virtboost.site/1"] = "virtboost.site/1"
    items: dict[str, Override] = {}
    """Changes to items of the catalogue, by id."""
    own: tuple[SiteItem, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Files that a scan must read as well; they may have ``*`` in them."""
        looks = [item.look_at.partition(":") for item in self.own]
        files = [target for kind, _, target in looks if kind == "file"]
        sysctls = [sysctl_path(name) for kind, _, name in looks if kind == "sysctl"]
        return (*files, *sysctls)


_FILE = re.compile(r"/(?:sys|proc|etc)/[\w.*:@+,=/-]+")
"""Paths that a site's item may look at: no blank and nothing that a shell would act on."""

Value = str | None | Unknown
"""A value as found; None where the host has no such thing."""

FACTS: dict[str, Callable[[Host], str | int | None]] = {
    "arch": lambda host: host.arch,
    "cpu.generation": lambda host: host.cpu.generation or "other",
    "cpu.vendor": lambda host: host.cpu.vendor,
    "distribution": lambda host: host.kernel.distribution,
    "page_size_bytes": lambda host: host.memory.page_size_bytes,
    "nodes": lambda host: len(host.topology.numa_nodes),
    "clusters": lambda host: len(host.topology.shared_clusters),
    "guests": lambda host: None if host.gap("guests") else len(host.guests),
    "containers": lambda host: None if host.gap("containers") else len(host.containers),
    "ovs": lambda host: "yes" if host.ovs else "no",
}
"""What ``applies_when`` can ask; None is *cannot tell*."""


def with_site(items: Sequence[AnyItem], site: Site, source: str) -> tuple[AnyItem, ...]:
    """Return the catalogue as the site wants it, with the site's own items at the end.

    Args:
        items: The catalogue.
        site: The site's file.
        source: Its name, for messages.

    Raises:
        InputError: An id, a wanted value, a fact or a ``look_at`` means nothing.
    """
    known = {item.id: item for item in items}
    for name in site.items:
        if name not in known:
            raise InputError(f"{source}: items: no item {name!r}{suggestion(name, known)}")
    own = tuple(_own_item(item, known, source) for item in site.own)
    _require_unique([item.id for item in own], source)
    changed = (_changed(item, site.items.get(item.id), source) for item in items)
    return (*(item for item in changed if item is not None), *own)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the known name most like ``name``, or nothing."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _require_unique(ids: list[str], source: str) -> None:
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice:
        raise InputError(f"{source}: own: {twice!r} stands here twice")


def _changed(item: AnyItem, override: Override | None, source: str) -> AnyItem | None:
    if override is None:
        return item
    if not override.enabled:
        return None
    if override.wanted is not None and item.wanted is None:
        raise InputError(
            f"{source}: items.{item.id}.wanted: follows from the host and cannot be changed"
        )
    wanted = item.wanted
    if override.wanted is not None:
        wanted = _wanted(override.wanted, f"{source}: items.{item.id}.wanted")
    return msgspec.structs.replace(item, severity=override.severity or item.severity, wanted=wanted)


def _own_item(own: SiteItem, known: Iterable[str], source: str) -> AnyItem:
    where = f"{source}: own.{own.id}"
    if own.id in known:
        raise InputError(f"{where}: the catalogue has an item of this id; change it under items")
    for fact, text in own.applies_when.items():
        if fact not in FACTS:
            raise InputError(f"{where}.applies_when: no fact {fact!r}{suggestion(fact, FACTS)}")
        _wanted(text, f"{where}.applies_when.{fact}")
    kind, _, target = own.look_at.partition(":")
    if kind not in _LOOKS or not target:
        forms = ", ".join(f"{name}:..." for name in _LOOKS)
        raise InputError(f"{where}.look_at: {own.look_at!r} is none of {forms}")
    if kind in ("file", "sysctl") and not _readable(target if kind == "file" else f"/sys/{target}"):
        raise InputError(f"{where}.look_at: {target!r} is no path below /sys, /proc or /etc")
    return Item(
        id=own.id,
        title=own.title,
        layer=own.layer,
        platforms=own.platforms,
        severity=own.severity,
        usage=own.usage,
        takes_effect=own.takes_effect,
        risk=own.risk,
        effect=own.effect,
        why=own.why,
        sources=own.sources,
        by_hand=own.by_hand,
        undo_by_hand=own.undo_by_hand,
        subjects=_files(target) if kind == "file" else HOST,
        wanted=_wanted(own.wanted, f"{where}.wanted"),
        judge=_judge_file(own) if kind == "file" else _judge_value(own, kind, target),
    )


def _readable(path: str) -> bool:
    return _FILE.fullmatch(path) is not None and ".." not in path.split("/")


def _wanted(text: str, where: str) -> Wanted:
    try:
        return parse_wanted(text)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def _files(pattern: str) -> Subjects[tuple[str, str]]:
    def select(host: Host) -> list[tuple[str, tuple[str, str]]]:
        found = (path for path in host.files if fnmatch.fnmatchcase(path, pattern))
        return [(path, (path, host.files[path])) for path in found]

    return Subjects(kind="file", select=select, none=f"there is no {pattern}")


def _judge_file(own: SiteItem) -> Callable[[Host, tuple[str, str], Wanted], Outcome]:
    def judge(host: Host, file: tuple[str, str], wanted: Wanted) -> Outcome:
        path, text = file
        change = None
        if path.startswith(("/sys/", "/proc/")) and wanted.value:
            change = KernelFile(path=path, value=wanted.value, reason=own.title)
        return _compared(own, host, _chosen(text), wanted, change)

    return judge


def _chosen(text: str) -> str:
    """Read the choice in force of ``always [madvise] never``; every other text is the value."""
    match = re.search(r"\[([^][]+)\]", text)
    return match[1] if match else text


def _judge_value(own: SiteItem, kind: str, target: str) -> Callable[[Host, Host, Wanted], Outcome]:
    def judge(host: Host, _: Host, wanted: Wanted) -> Outcome:
        change = None
        if kind == "sysctl" and wanted.value:
            change = Sysctl(name=target, value=wanted.value, reason=own.title)
        return _compared(own, host, _LOOKS[kind](host, target), wanted, change)

    return judge


def _compared(
    own: SiteItem, host: Host, found: Value, wanted: Wanted, change: Change | None
) -> Outcome:
    for fact, text in own.applies_when.items():
        told = FACTS[fact](host)
        if told is None:
            return Unknown(fact)
        if not Wanted(text).accepts(str(told)):
            return NotApplicable(f"{fact} is {told}, not {text}")
    if isinstance(found, Unknown):
        return found
    if found is None:
        return NotApplicable(f"the host has no {own.look_at}")
    if wanted.accepts(found):
        return Ok(found)
    return Wrong(found, wanted.text, own.why or own.title, (change,) if change else ())


def _sysctl(host: Host, name: str) -> Value:
    return host.kernel.sysctls.get(name) or host.files.get(sysctl_path(name))


def sysctl_path(name: str) -> str:
    """Return the file of a sysctl, ``/proc/sys/vm/swappiness``."""
    return f"/proc/sys/{name.replace('.', '/')}"


def _argument(host: Host, name: str) -> Value:
    if host.kernel.command_line is None:
        return Unknown("the kernel command line")
    values = host.kernel.arguments(name)
    return (values[-1] or "set") if values else "absent"


def _module(host: Host, name: str) -> Value:
    module, _, parameter = name.partition(".")
    return host.kernel.module_parameters.get(module, {}).get(parameter)


def _bios(host: Host, name: str) -> Value:
    if host.firmware.bios_settings is None:
        return Unknown("BIOS settings; ask the BMC with --redfish")
    found = host.firmware.bios_settings.get(name)
    return None if found is None else str(found)


def _service(host: Host, name: str) -> Value:
    service = host.service(name)
    if service is None and host.gap("services") is not None:
        return Unknown("the services")
    return "active" if service is not None and service.active else "inactive"


def _ovs(host: Host, key: str) -> Value:
    return None if host.ovs is None else host.ovs.other_config.get(key, "absent")


_LOOKS: dict[str, Callable[[Host, str], Value]] = {
    "sysctl": _sysctl,
    "file": lambda host, path: host.files.get(path),
    "argument": _argument,
    "module": _module,
    "bios": _bios,
    "service": _service,
    "ovs": _ovs,
}
