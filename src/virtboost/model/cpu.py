"""What CPU this is, and how its power and its flaws are managed."""

from __future__ import annotations

from msgspec import Struct

from virtboost.model.cpuset import CpuSet

KUNPENG_GENERATIONS = {
    ("0x48", "0xd01"): "Kunpeng 920",
    ("0x48", "0xd02"): "new Kunpeng 920",
    ("0x48", "0xd06"): "Kunpeng 950",
}
"""Generation by (implementer, part).

0xd01 is TSV110 and 0xd02 is HIP09: Kunpeng's CPU optimisation guide (github kunpengcompute/skills,
kunpeng-cpu-opt-guide).  That 0xd06, HIP12, is the 950 is inferred: no public page says it.
"""


class Cpu(Struct, frozen=True, kw_only=True):
    """The identity of the first online CPU, which servers have in common."""

    implementer: str | None = None
    """``CPU implementer`` on Arm, such as ``0x48`` (HiSilicon); None on x86."""
    part: str | None = None
    """``CPU part`` on Arm, such as ``0xd01``; None on x86."""
    vendor: str | None = None
    """``HiSilicon``, ``GenuineIntel``; None where it is not known."""
    model: str | None = None
    """Model name; None where the kernel gives none (most Arm kernels)."""
    generation: str | None = None
    """Kunpeng generation by the part number; None for every other CPU."""
    flags: tuple[str, ...] = ()
    """Features, sorted, as the kernel spells them."""

    @property
    def kunpeng(self) -> bool:
        """Whether this is a Kunpeng CPU."""
        return self.generation is not None


class IdleState(Struct, frozen=True, kw_only=True):
    """One idle state, over all CPUs."""

    name: str
    latency_us: int | None
    """Exit latency; None: not told."""
    disabled_cpus: CpuSet
    """pCPUs on which somebody switched it off."""


class Power(Struct, frozen=True, kw_only=True):
    """Frequency, idle states and SMT."""

    frequency_driver: str | None = None
    """cpufreq driver; None where the kernel does not scale the frequency."""
    governors: dict[str, CpuSet] = {}
    """pCPUs by cpufreq governor; empty where the kernel does not scale the frequency."""
    available_governors: tuple[str, ...] = ()
    """Empty where the kernel does not scale the frequency."""
    idle_driver: str | None = None
    """cpuidle driver; None where there is none."""
    idle_states: tuple[IdleState, ...] = ()
    smt_control: str | None = None
    """``on``, ``off``, ``forceoff``, ``notsupported``, ``notimplemented``; None: not told."""
