"""Guests of libvirt: their live definitions, and where the kernel lets their vCPUs run.

One virsh for each guest tells all of it; a command that needs QEMU's monitor is not among them,
since a QEMU that hangs would hang the scan, and a scan must not stand in a migration's way.

Source: virsh(1); https://libvirt.org/formatdomain.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from virtboost.model.cpuset import CpuSet
from virtboost.model.guest import Guest, GuestState
from virtboost.scan import domain
from virtboost.scan.gaps import Gaps
from virtboost.scan.libvirt import ABOUT, VIRSH
from virtboost.scan.texts import cpu_list, pairs, problem
from virtboost.transport.source import Capture, Command, Files, Output, Source

_MARK = "@@@"
"""Stands between the outputs of one virsh.  Where a definition holds it as well, the guest cannot
be read: what is before it is never a whole document."""

_COMMANDS = ("dominfo {}", "vcpuinfo --pretty {}", "dumpxml {}", "dumpxml --inactive {}")

GUESTS = Command(
    "guests",
    (*VIRSH, f"; echo {_MARK}; ".join(_COMMANDS)),
    foreach=(*VIRSH, "list", "--all", "--uuid"),
)

PROCESS_IDS = Files("/run/libvirt/qemu", ("*.pid",))
"""One for each guest that runs, and the daemon's own."""

SOURCES: tuple[Source, ...] = (GUESTS, PROCESS_IDS)

_STATES: dict[str, GuestState] = {
    "running": "running",
    "idle": "running",
    "paused": "paused",
    "shut off": "shut off",
}
"""States of dominfo; the others (in shutdown, crashed, pmsuspended) pass."""

_PENDING = (
    "max_vcpu_count",
    "cpuset",
    "vcpu_pins",
    "emulator_pins",
    "iothread_count",
    "iothread_pins",
    "memory_bytes",
    "page_sizes_bytes",
    "ksm_excluded",
    "memory_locked",
    "memory_shared_access",
    "memory_mode",
    "node_ids",
    "placement",
    "machine",
    "topology",
    "cells",
    "cache_mode",
    "caches",
    "scsi_controllers",
    "balloon",
    "gic_version",
    "features",
    "cachetune",
    "environment",
)
"""Fields that libvirt writes alike in a live and in a persistent definition.  It does not do so for
the CPU model, which it expands, and for devices, which come and go while a guest runs."""


def parse(
    capture: Capture, gaps: Gaps, *, online: CpuSet, page_size_bytes: int | None
) -> tuple[Guest, ...]:
    """Return the guests, by name.

    Args:
        capture: What was read.
        gaps: Gets one named ``guests`` where there may be guests that are not returned.
        online: The host's pCPUs: a vCPU that may use all of them has no pin.
        page_size_bytes: The host's base page, which is no huge page; None: not told.
    """
    outputs = capture.outputs(GUESTS)
    if not outputs:
        _without_virsh(capture, gaps)
    guests: list[Guest] = []
    for output in outputs:
        if _MARK not in output.stdout:
            gaps.add("guests", "virsh list", problem(output))
            continue
        guests.extend(_guest(output, gaps, online, page_size_bytes))
    return tuple(sorted(guests, key=lambda guest: guest.name))


def _without_virsh(capture: Capture, gaps: Gaps) -> None:
    """Tell of guests that run without virsh: libvirt may be in a container, as Kolla has it."""
    files = capture.entries(PROCESS_IDS).get(PROCESS_IDS.directory, {})
    guests = [name for name in files if name != "driver.pid"]
    if guests and not capture.outputs(ABOUT):
        gaps.add("guests", "virsh", f"not installed, and {len(guests)} guests run")


def _guest(
    output: Output, gaps: Gaps, online: CpuSet, page_size_bytes: int | None
) -> Iterator[Guest]:
    facts_text, vcpus_text, *definitions = output.stdout.split(_MARK)
    facts = dict(pairs(facts_text))
    if "State" not in facts:
        return  # it went away after it was listed
    live, persistent = (
        domain.parse(text, page_size_bytes=page_size_bytes)
        for text in (*definitions, "", "")[: len(_COMMANDS) - 2]
    )
    if live is None or len(definitions) != len(_COMMANDS) - 2:
        gaps.add("guests", f"virsh dumpxml {facts.get('Name')}", "not the XML of a guest")
        return
    state: GuestState = _STATES.get(facts["State"], "other")
    lasting = {"yes": True, "no": False}.get(facts.get("Persistent", ""))
    running = state in ("running", "paused")
    pending = _pending(live, persistent) if running and lasting and persistent else ()
    if running:
        live |= {"vcpu_pins": _live_pins(live, _affinities(vcpus_text), online)}
    yield Guest(**live, state=state, persistent=lasting, pending=pending)


def _pending(live: Mapping[str, Any], persistent: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in _PENDING if live.get(name) != persistent.get(name))


def _affinities(text: str) -> Iterator[tuple[int, CpuSet]]:
    """Yield each vCPU that is plugged in with the pCPUs that its thread may use."""
    vcpu = -1
    for key, words in pairs(text):
        if key == "VCPU" and words.isdecimal() and len(words) < 6:
            vcpu = int(words)
        cpus = cpu_list(words.partition(" (")[0]) if key == "CPU Affinity" else None
        if cpus and vcpu >= 0:
            yield vcpu, cpus


def _live_pins(
    live: Mapping[str, Any], affinities: Iterator[tuple[int, CpuSet]], online: CpuSet
) -> dict[int, CpuSet]:
    """Return the affinities that are pins: in the definition, or not those of an unpinned vCPU."""
    defined: dict[int, CpuSet] = live["vcpu_pins"]
    unpinned = live["cpuset"] or online
    actual = dict(affinities)
    if not actual:
        return defined
    return {v: cpus for v, cpus in actual.items() if v in defined or cpus != unpinned}
