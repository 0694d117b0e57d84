"""libvirt itself: its version, its hypervisor and what machines it can make.

Source: virsh(1); https://libvirt.org/formatcaps.html.
"""

from __future__ import annotations

from virtboost.model.libvirt import Libvirt
from virtboost.model.xml import Element, elements, parse_xml
from virtboost.scan.gaps import Gaps
from virtboost.scan.texts import pairs, problem
from virtboost.scan.xpath import present, value
from virtboost.transport.source import Capture, Command, Source

VIRSH = ("virsh", "--quiet", "--readonly", "--connect", "qemu:///system")
"""Read-only, which an ordinary user may too, and named: a user's default is his own session, which
virsh would start."""

ABOUT = Command("libvirt", (*VIRSH, "version --daemon; capabilities"))

SOURCES: tuple[Source, ...] = (ABOUT,)


def parse(capture: Capture, gaps: Gaps) -> Libvirt | None:
    """Return libvirt, or None where there is none or its daemon does not answer."""
    about = capture.outputs(ABOUT)
    if not about:
        return None
    version, opening, capabilities = about[0].stdout.partition("<capabilities>")
    if not opening:
        gaps.add("libvirt", "virsh capabilities", problem(about[0]))
        return None
    facts = dict(pairs(version))
    root = parse_xml(opening + capabilities)
    if root is None:
        gaps.add("libvirt", "virsh capabilities", "not XML")
    return Libvirt(
        version=facts.get("Running against daemon") or _library(facts),
        hypervisor=facts.get("Running hypervisor"),
        machines=() if root is None else _machines(root),
        accelerated=None if root is None else present(root, f"{_NATIVE}/domain[@type='kvm']"),
    )


_NATIVE = "guest[os_type='hvm']/arch[@name=/capabilities/host/cpu/arch]"


def _library(facts: dict[str, str]) -> str | None:
    return facts.get("Using library", "").removeprefix("libvirt ") or None


def _machines(root: Element) -> tuple[str, ...]:
    machines = (value(machine, ".") for machine in elements(root, f"{_NATIVE}/machine"))
    return tuple(dict.fromkeys(machine for machine in machines if machine))
