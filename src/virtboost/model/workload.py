"""What is to run on a host: guests and containers as a person asks for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from virtboost.model.size import Size

Locality = Literal["bandwidth", "sharing", "isolation", "balanced"]
"""What matters to a guest where the CPU clusters are: memory bandwidth (spread over clusters), data
that its threads share (packed), clusters to itself, or the host's order."""

MAX_VCPUS = 4096
"""More vCPUs than any hypervisor gives a guest; a larger number is a slip."""

MAX_COUNT = 10_000
"""How many guests one entry may stand for."""

_NAME = re.compile(r"[^\s\x00-\x1f\x7f/][^\x00-\x1f\x7f/]{0,127}")


def is_name(text: str) -> bool:
    """Tell whether a guest or container can be called so in a workload."""
    return _NAME.fullmatch(text) is not None


def _require_vcpus(key: str, count: int | None) -> None:
    _require(count is None or 1 <= count <= MAX_VCPUS, f"{key}: from 1 to {MAX_VCPUS}")


def _require(condition: object, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


class _Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that are not known are mistakes."""


class HostShare(_Form, frozen=True, kw_only=True):
    """What stays with the host itself."""

    cpus: int | Literal["auto"] = "auto"
    """pCPUs on each NUMA node, rounded up to whole cores; ``auto``: see ``plan/supply.py``."""
    memory: Size | None = None
    """Memory on each NUMA node; None: what is free or in use by nothing that is planned, less a
    sixteenth."""

    def __post_init__(self) -> None:
        _require(self.cpus == "auto" or 0 <= self.cpus <= MAX_VCPUS, "cpus: from 0 on, or auto")


class _Request(_Form, frozen=True, kw_only=True):
    """What guests and containers have in common."""

    name: str
    template: str | None = None
    """Shape whose values hold where this entry has none; None: no template."""
    count: int = 1
    """How many of it; more than 1 are called ``NAME-1``, ``NAME-2``, ..."""
    memory: Size | None = None
    """None: the template's."""
    huge_pages: str | None = None
    """A size, ``auto`` (chosen for the host's base page) or ``none``; None: the template's."""
    cpus: Literal["dedicated", "shared"] | None = None
    """Whether it has its pCPUs for itself; None: the template's, or ``dedicated``."""
    overcommit_ratio: float | None = None
    """vCPUs for each pCPU of the shared pool; None: the template's, or 1."""
    devices: tuple[str, ...] = ()
    """Network interfaces, disks and PCI addresses of the host that it uses."""
    locality: Locality | None = None
    """None: the template's, or ``balanced``."""
    affinity: tuple[str, ...] = ()
    """Others on whose NUMA nodes it must be."""
    anti_affinity: tuple[str, ...] = ()
    """Others with which it must share no NUMA node."""
    nodes: tuple[int, ...] | None = None
    """NUMA nodes that it may use; None: any."""

    def __post_init__(self) -> None:
        _require(is_name(self.name), f"name {self.name[:40]!r}: not a name")
        _require(1 <= self.count <= MAX_COUNT, f"count: from 1 to {MAX_COUNT}")
        ratio = self.overcommit_ratio
        _require(ratio is None or 1 <= ratio <= 64, "overcommit_ratio: from 1 to 64")
        _require(self.nodes is None or len(self.nodes) > 0, "nodes: name one at least")
        if self.huge_pages not in (None, "auto", "none"):
            page = Size.parse(str(self.huge_pages))
            _require(page & (page - 1) == 0, f"huge_pages: {self.huge_pages} is no size of a page")

    def names(self) -> tuple[str, ...]:
        """Return the name of each guest that this entry stands for."""
        if self.count == 1:
            return (self.name,)
        return tuple(f"{self.name}-{number}" for number in range(1, self.count + 1))


class GuestRequest(_Request, frozen=True, kw_only=True):
    """A guest that is wanted."""

    vcpus: int | None = None
    """None: the template's."""
    iothreads: int | None = None
    """None: the template's, or 0."""
    emulator: Literal["host", "own"] | None = None
    """Emulator threads on the host's pCPUs, or on a core of the guest's own; None: the template's,
    or ``host``."""
    cells: int | Literal["auto"] | None = None
    """NUMA cells that the guest sees; ``auto``: as few as it fits in; None: the template's."""
    pins: dict[int, int] | None = None
    """By number of the vCPU the pCPU that was decided already, for all or none; None: free."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_vcpus("vcpus", self.vcpus)
        _require(self.iothreads is None or 0 <= self.iothreads <= 64, "iothreads: from 0 to 64")
        cells = self.cells
        _require(cells is None or cells == "auto" or 1 <= cells <= 64, "cells: from 1 on, or auto")
        _require(self.pins is None or self.count == 1, "pins: of one guest, and count is more")


class ContainerRequest(_Request, frozen=True, kw_only=True):
    """A container that is wanted."""

    vcpus: int | None = None
    """CPUs that it may use at once; None: the template's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_vcpus("vcpus", self.vcpus)


class Workload(_Form, frozen=True, kw_only=True):
    """Everything that is to run on a host."""

    host: HostShare = HostShare()
    guests: tuple[GuestRequest, ...] = ()
    containers: tuple[ContainerRequest, ...] = ()

    def __post_init__(self) -> None:
        names = [name for request in self.requests() for name in request.names()]
        known = set(names) | {request.name for request in self.requests()}
        _require(len(names) == len(set(names)), f"two are called {_first_twice(names)!r}")
        for request in self.requests():
            for other in (*request.affinity, *request.anti_affinity):
                _require(other in known, f"{request.name}: there is no {other!r} to be near or far")

    def requests(self) -> tuple[GuestRequest | ContainerRequest, ...]:
        """Return guests and containers in the order of the file."""
        return (*self.guests, *self.containers)


def _first_twice(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""
