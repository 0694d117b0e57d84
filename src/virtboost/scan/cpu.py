"""The CPU's identity, its frequency, idle states and SMT.

Source: ``/proc/cpuinfo`` (arch/arm64/kernel/cpuinfo.c, arch/x86/kernel/cpu/proc.c) and
Documentation/admin-guide/pm/{cpufreq,cpuidle}.rst of Linux.
"""

from __future__ import annotations

from virtboost.model.cpu import KUNPENG_GENERATIONS, Cpu, IdleState, Power
from virtboost.scan.gaps import Gaps
from virtboost.scan.texts import cpus_numbered, integer, pairs
from virtboost.scan.topology import CPUS
from virtboost.transport.source import Capture, Files

CPUINFO = Files("/proc", ("cpuinfo",))

CPU_ID = Files(f"{CPUS}/cpu[0-9]*/regs/identification", ("midr_el1",))

FREQUENCY = Files(
    f"{CPUS}/cpu[0-9]*/cpufreq",
    ("scaling_driver", "scaling_governor", "scaling_available_governors"),
)

IDLE = Files(f"{CPUS}/cpuidle", ("current_driver",))

IDLE_STATES = Files(f"{CPUS}/cpu[0-9]*/cpuidle/state[0-9]*", ("name", "latency", "disable"))

SMT = Files(f"{CPUS}/smt", ("control",))

SOURCES = (CPUINFO, CPU_ID, FREQUENCY, IDLE, IDLE_STATES, SMT)

IMPLEMENTERS = {
    "0x41": "ARM",
    "0x46": "Fujitsu",
    "0x48": "HiSilicon",
    "0x4e": "NVIDIA",
    "0x50": "APM",
    "0x51": "Qualcomm",
    "0x70": "Phytium",
    "0xc0": "Ampere",
}
"""Arm's implementer codes, MIDR_EL1 bits 31:24 (arch/arm64/include/asm/cputype.h)."""


def parse_identity(capture: Capture, gaps: Gaps) -> Cpu:
    """Return the identity of the first CPU that ``/proc/cpuinfo`` tells."""
    text = capture.text(CPUINFO, "cpuinfo")
    fields = _first_of_each(text)
    implementer, part = fields.get("CPU implementer"), fields.get("CPU part")
    if implementer is None or part is None:
        implementer, part = _from_midr(capture)
    if text is None:
        gaps.add("CPU identity", "/proc/cpuinfo", "not readable")
    return Cpu(
        implementer=implementer,
        part=part,
        vendor=fields.get("vendor_id") or IMPLEMENTERS.get(implementer or ""),
        model=fields.get("model name") or None,
        generation=KUNPENG_GENERATIONS.get((implementer or "", part or "")),
        flags=tuple(sorted((fields.get("Features") or fields.get("flags") or "").split())),
    )


def parse_power(capture: Capture) -> Power:
    """Return how frequency, idle states and SMT are managed."""
    governors: dict[str, list[str]] = {}
    driver: str | None = None
    available: tuple[str, ...] = ()
    for (cpu,), texts in capture.matches(FREQUENCY):
        governors.setdefault(texts.get("scaling_governor", "unknown"), []).append(cpu)
        driver = texts.get("scaling_driver", driver)
        available = tuple(texts.get("scaling_available_governors", "").split()) or available
    idle_driver = capture.text(IDLE, "current_driver")
    return Power(
        frequency_driver=driver,
        governors={governor: cpus_numbered(cpus) for governor, cpus in sorted(governors.items())},
        available_governors=available,
        idle_driver=None if idle_driver in (None, "none") else idle_driver,
        idle_states=_idle_states(capture),
        smt_control=capture.text(SMT, "control"),
    )


def _first_of_each(text: str | None) -> dict[str, str]:
    """Return each field where it comes first: old Arm kernels have some at the end of the file."""
    fields: dict[str, str] = {}
    for key, value in pairs(text):
        fields.setdefault(key, value)
    return fields


def _from_midr(capture: Capture) -> tuple[str | None, str | None]:
    for _, texts in capture.matches(CPU_ID):
        midr = integer(texts.get("midr_el1"))
        if midr is not None:
            return f"0x{midr >> 24 & 0xFF:02x}", f"0x{midr >> 4 & 0xFFF:03x}"
    return None, None


def _idle_states(capture: Capture) -> tuple[IdleState, ...]:
    names: dict[str, tuple[str, int | None]] = {}
    disabled: dict[str, list[str]] = {}
    for (cpu, state), texts in capture.matches(IDLE_STATES):
        names.setdefault(state, (texts.get("name", state), integer(texts.get("latency"))))
        if texts.get("disable", "0") != "0":
            disabled.setdefault(state, []).append(cpu)
    return tuple(
        IdleState(
            name=name, latency_us=latency, disabled_cpus=cpus_numbered(disabled.get(state, ()))
        )
        for state, (name, latency) in sorted(names.items())
    )
