"""The state that a machine is in at a moment: how busy, how fast, how hot."""

from __future__ import annotations

from msgspec import Struct


class MachineState(Struct, frozen=True, kw_only=True):
    """Load, frequency, temperature, pressure and energy; what cannot be read is None."""

    load: float | None = None
    """Runnable and waiting tasks, average of a minute (``/proc/loadavg``)."""
    busy_s: float | None = None
    """CPU time that was not idle, of all CPUs since boot (``/proc/stat``)."""
    steal_s: float | None = None
    """Time in which a hypervisor gave this machine's CPUs to others, of all CPUs since boot."""
    frequency_hz: int | None = None
    """Mean of the CPUs (``scaling_cur_freq``)."""
    lowest_frequency_hz: int | None = None
    """Of the slowest CPU."""
    temperature_c: float | None = None
    """Of the hottest sensor."""
    pressure_percent: dict[str, float] = {}
    """Share of the last 10 s in which some task waited for ``cpu``, ``memory`` or ``io``."""
    energy_j: float | None = None
    """Of all CPU packages, since some moment (``powercap``); it may begin anew."""
    energy_range_j: float | None = None
    """At which the counter of a package begins anew."""
    power_w: float | None = None
    """What the sensors of ``hwmon`` say, together."""
