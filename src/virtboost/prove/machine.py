"""How busy, fast and hot a machine is: a few small files, since they are read around every run.

Sources: proc(5); Documentation/accounting/psi.rst, Documentation/hwmon/sysfs-interface.rst,
Documentation/power/powercap/powercap.rst and Documentation/ABI/testing/sysfs-class-thermal, of
Linux.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from virtboost.model.machine import MachineState
from virtboost.scan.kernel import PRESSURE
from virtboost.scan.texts import integer, natural
from virtboost.transport.source import Capture, Files, Source

PROC = Files("/proc", ("loadavg", "stat"))

FREQUENCY = Files("/sys/devices/system/cpu/cpufreq/policy[0-9]*", ("scaling_cur_freq",))

ZONES = Files("/sys/class/thermal/thermal_zone[0-9]*", ("temp",))

SENSORS = Files("/sys/class/hwmon/hwmon[0-9]*", ("temp*_input", "power*_input", "power*_average"))

PACKAGES = Files(
    "/sys/class/powercap/intel-rapl:[0-9]*", ("energy_uj", "max_energy_range_uj", "name")
)

SOURCES: tuple[Source, ...] = (PROC, PRESSURE, FREQUENCY, ZONES, SENSORS, PACKAGES)

_TICKS_PER_S = 100
"""``USER_HZ``: what ``/proc/stat`` counts in, on every architecture that is read here."""

_BUSY = (0, 1, 2, 5, 6, 7)
"""user, nice, system, irq, softirq, steal; guests' time is in user's."""

_STEAL = 7

_AVG10 = re.compile(r"^some avg10=(\d{1,3}\.\d+) ", re.MULTILINE)


def parse(capture: Capture) -> MachineState:
    """Return the state of the machine; what it does not tell is None."""
    ticks = _ticks(capture.text(PROC, "stat") or "")
    speeds = [1000 * each for each in _numbers(capture, FREQUENCY, "scaling_cur_freq")]
    heats = [*_numbers(capture, ZONES, "temp"), *_numbers(capture, SENSORS, "temp")]
    power = list(_watts(capture))
    energy = list(_packages(capture))
    return MachineState(
        load=_load(capture.text(PROC, "loadavg") or ""),
        busy_s=sum(ticks[each] for each in _BUSY) / _TICKS_PER_S if ticks else None,
        steal_s=ticks[_STEAL] / _TICKS_PER_S if ticks else None,
        frequency_hz=sum(speeds) // len(speeds) if speeds else None,
        lowest_frequency_hz=min(speeds, default=None),
        temperature_c=max(heats) / 1000 if heats else None,
        pressure_percent=dict(_pressures(capture)),
        energy_j=sum(energy) / 1e6 if energy else None,
        energy_range_j=_range(capture),
        power_w=sum(power) if power else None,
    )


def _load(text: str) -> float | None:
    match = re.match(r"(\d{1,6}\.\d{2}) ", text)
    return float(match[1]) if match else None


def _ticks(text: str) -> list[int]:
    """Return the columns of all CPUs; empty where there are too few."""
    match = re.search(r"^cpu +((?:\d{1,18} ?){8,})$", text, re.MULTILINE)
    return [int(word) for word in match[1].split()] if match else []


def _numbers(capture: Capture, source: Files, beginning: str) -> Iterator[int]:
    for names in capture.entries(source).values():
        for name, text in names.items():
            number = integer(text)
            if name.startswith(beginning) and number is not None:
                yield number


def _watts(capture: Capture) -> Iterator[float]:
    """Yield what each sensor of power says: now, or where it does not, on average."""
    for names in capture.entries(SENSORS).values():
        for sensor in {name.partition("_")[0] for name in names if name.startswith("power")}:
            told = (natural(names.get(f"{sensor}_{kind}")) for kind in ("input", "average"))
            microwatts = next((each for each in told if each is not None), None)
            if microwatts is not None:
                yield microwatts / 1e6


def _packages(capture: Capture) -> Iterator[int]:
    """Yield what each package used; a domain within one is part of it and has another name."""
    for names in capture.entries(PACKAGES).values():
        energy = natural(names.get("energy_uj"))
        if names.get("name", "").startswith("package-") and energy is not None:
            yield energy


def _range(capture: Capture) -> float | None:
    """Return the range of the counters of packages; None: they tell none."""
    told = [
        natural(names.get("max_energy_range_uj"))
        for names in capture.entries(PACKAGES).values()
        if names.get("name", "").startswith("package-")
    ]
    ranges = [each for each in told if each]
    return min(ranges) / 1e6 if ranges else None


def _pressures(capture: Capture) -> Iterator[tuple[str, float]]:
    for resource in PRESSURE.names:
        match = _AVG10.search(capture.text(PRESSURE, resource) or "")
        if match:
            yield resource, float(match[1])
