"""Services of the host: what systemd says of them, which run, and their settings.

Source: systemctl(1), ps(1), irqbalance(1); tuned-adm(8) for ``/etc/tuned/active_profile``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from virtboost.model.service import Service
from virtboost.scan.gaps import Gaps
from virtboost.scan.texts import pairs
from virtboost.transport.source import Capture, Command, Files, Source

DAEMONS = ("irqbalance", "tuned", "numad", "ksmtuned", "power-profiles-daemon")
"""Services that have a process of their name while they are active."""

NAMES = (*DAEMONS, "ksm", "cpupower")
"""Every service that is looked at; ``ksm`` and ``cpupower`` set something and end."""

UNITS = Command(
    "service-units",
    (
        "systemctl",
        "show",
        "-pNames",
        "-pLoadState",
        "-pActiveState",
        "-pUnitFileState",
        *(f"{name}.service" for name in NAMES),
    ),
)

COMM_LENGTH = 15
"""A process's name is cut to this length (``TASK_COMM_LEN`` of Linux, less the final NUL)."""

_WITNESS = "kthreadd"
_WANTED = "|".join((_WITNESS, *(name[:COMM_LENGTH] for name in DAEMONS)))

PROCESSES = Command(
    "service-processes", ("sh", "-c", f"ps -A -o comm= -o args= | grep -E '^({_WANTED}) '")
)
"""Name and arguments of the daemons, of no other process: others' arguments may hold secrets.

The kernel's first thread is asked for as well: where it is not seen, this is a container or
``/proc`` hides the processes of others, and a daemon that is not seen may run.
"""

IRQBALANCE_SETTINGS = (
    Files("/usr/lib/irqbalance", ("defaults.env",)),
    Files("/etc/default", ("irqbalance",)),
    Files("/etc/sysconfig", ("irqbalance",)),
)
"""Environment of irqbalance in the order in which units read it: Debian's two, RPM's."""

TUNED = Files("/etc/tuned", ("active_profile",))

SOURCES: tuple[Source, ...] = (UNITS, PROCESSES, *IRQBALANCE_SETTINGS, TUNED)

_ENABLED = {"enabled": True, "enabled-runtime": True, "disabled": False, "masked": False}


def parse(capture: Capture, gaps: Gaps) -> tuple[Service, ...]:
    """Return the services that are installed or run, in the order of ``NAMES``.

    A gap ``services`` tells that one which is not returned may be there all the same.
    """
    units = dict(_units(capture.stdout(UNITS)))
    processes = _processes(capture.stdout(PROCESSES))
    if not units and processes is None:
        gaps.add(
            "services", "systemctl show, ps", "there is no systemd and not every process shows"
        )
    details = {
        "irqbalance": _irqbalance(capture, processes or {}),
        "tuned": capture.text(TUNED, "active_profile"),
    }
    found = (_service(name, units.get(name), processes or {}, details.get(name)) for name in NAMES)
    return tuple(service for service in found if service is not None)


def _service(
    name: str, unit: Mapping[str, str] | None, processes: Mapping[str, str], detail: str | None
) -> Service | None:
    running = name[:COMM_LENGTH] in processes
    if unit is None or unit.get("LoadState") == "not-found":
        if not running:
            return None
        unit = {}
    return Service(
        name=name,
        active=running or unit.get("ActiveState") in ("active", "reloading"),
        enabled=_ENABLED.get(unit.get("UnitFileState", "")),
        detail=detail or None,
    )


def _units(text: str | None) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each unit that is asked for with its properties; an alias has several names."""
    for block in (text or "").split("\n\n"):
        unit = dict(pairs(block, "="))
        called = unit.get("Names", "").split()
        yield from ((name, unit) for name in NAMES if f"{name}.service" in called)


def _processes(text: str | None) -> dict[str, str] | None:
    """Return arguments by process name; None where not every process is seen."""
    lines = (line.split(None, 1) for line in (text or "").splitlines())
    processes = {words[0]: words[1] for words in lines if len(words) == 2}
    return processes if _WITNESS in processes else None


def _irqbalance(capture: Capture, processes: Mapping[str, str]) -> str:
    """Return the settings that are not empty, and the arguments that it runs with or would."""
    settings: dict[str, str] = {}
    for source in IRQBALANCE_SETTINGS:
        for name, value in pairs(capture.text(source, source.names[0]), "="):
            settings[name] = value.strip("\"'")
    arguments = settings.pop("IRQBALANCE_ARGS", "")
    if "irqbalance" in processes:
        arguments = processes["irqbalance"].partition(" ")[2]
    shown = (f"{name}={value}" for name, value in settings.items() if value and _is_own(name))
    return " ".join((*shown, arguments)).strip()


def _is_own(name: str) -> bool:
    """Tell a setting from a comment: ``#IRQBALANCE_ARGS=`` is none."""
    return name.startswith("IRQBALANCE_")
