"""The running kernel: version, command line, sysctls, module parameters, pressure."""

from __future__ import annotations

from msgspec import Struct


class Pressure(Struct, frozen=True, kw_only=True):
    """Pressure stall information of one resource (Documentation/accounting/psi.rst)."""

    some_avg60_percent: float
    """Share of the last 60 s in which at least one task waited."""
    full_avg60_percent: float | None
    """Share of the last 60 s in which all tasks waited; None where the kernel does not tell."""


class Kernel(Struct, frozen=True, kw_only=True):
    """The kernel and the distribution around it; None is what cannot be read."""

    release: str | None = None
    """``uname -r``."""
    version: str | None = None
    """``/proc/version``."""
    distribution: str | None = None
    """``ID`` of os-release: ``debian``, ``openEuler``."""
    distribution_version: str | None = None
    """``VERSION_ID`` of os-release."""
    command_line: str | None = None
    """``/proc/cmdline``, UUIDs replaced; None: not readable."""
    sysctls: dict[str, str] = {}
    """The sysctls that the catalogue looks at, by dotted name; one that is missing is not there."""
    module_parameters: dict[str, dict[str, str]] = {}
    """Parameters of the modules that the catalogue looks at: ``{"kvm": {"halt_poll_ns": ...}}``."""
    vulnerabilities: dict[str, str] = {}
    """What the kernel says of each CPU vulnerability."""
    pressure: dict[str, Pressure] = {}
    """``cpu``, ``memory``, ``io``; empty where the kernel has no PSI."""

    def arguments(self, name: str) -> tuple[str, ...]:
        """Return every value of ``name=value`` on the command line; ``""`` for a bare ``name``.

        Dashes and underscores in names are the same to the kernel.
        """
        wanted = name.replace("-", "_")
        words = (self.command_line or "").split()
        pairs = (word.partition("=") for word in words)
        return tuple(value for key, _, value in pairs if key.replace("-", "_") == wanted)
