"""The kernel: version, command line, sysctls, module parameters, vulnerabilities, pressure."""

from __future__ import annotations

import re

from virtboost.model.kernel import Kernel, Pressure
from virtboost.scan.cpu import CPUINFO
from virtboost.scan.gaps import Gaps
from virtboost.scan.memory import HWLOC_INFO
from virtboost.scan.texts import pairs
from virtboost.scan.topology import CPUS
from virtboost.transport.source import Capture, Command, Files, Source

PROC = Files("/proc", ("version", "cmdline"))

IDENTITY = Files("/proc/sys/kernel", ("hostname", "osrelease", "arch"))

MACHINE = Command("machine", ("uname", "-m"))

OS_RELEASE = Files("/etc", ("os-release",))

SYSCTL_NAMES = {
    "/proc/sys/kernel": (
        "numa_balancing",
        "sched_cluster",
        "sched_rt_runtime_us",
        "nmi_watchdog",
        "watchdog",
        "timer_migration",
    ),
    "/proc/sys/vm": (
        "zone_reclaim_mode",
        "swappiness",
        "dirty_background_ratio",
        "dirty_ratio",
        "nr_hugepages",
        "nr_overcommit_hugepages",
        "overcommit_memory",
        "stat_interval",
        "max_map_count",
    ),
    "/proc/sys/net/core": (
        "busy_poll",
        "busy_read",
        "netdev_max_backlog",
        "rmem_max",
        "wmem_max",
        "somaxconn",
    ),
    "/proc/sys/net/ipv4": ("ip_forward",),
    "/proc/sys/net/ipv4/neigh/default": ("gc_thresh1", "gc_thresh2", "gc_thresh3"),
    "/proc/sys/net/netfilter": ("nf_conntrack_max", "nf_conntrack_count"),
}
"""The sysctls that the catalogue looks at, by folder."""

SYSCTLS = tuple(Files(folder, names) for folder, names in SYSCTL_NAMES.items())

MODULES = ("kvm", "kvm_arm", "kvm_intel", "kvm_amd", "haltpoll", "vhost_net", "vfio_pci")

MODULE_PARAMETERS = tuple(Files(f"/sys/module/{name}/parameters", ("*",)) for name in MODULES)

VULNERABILITIES = Files(f"{CPUS}/vulnerabilities", ("*",))

PRESSURE = Files("/proc/pressure", ("cpu", "memory", "io"))

SOURCES: tuple[Source, ...] = (
    PROC,
    IDENTITY,
    MACHINE,
    OS_RELEASE,
    *SYSCTLS,
    *MODULE_PARAMETERS,
    VULNERABILITIES,
    PRESSURE,
)

_AVG60 = re.compile(r"^(some|full) .*\bavg60=(\d{1,3}\.\d+) ", re.MULTILINE)


NAME = (IDENTITY, HWLOC_INFO)
"""What tells a host's own name."""


def parse_hostname(capture: Capture) -> str | None:
    """Return the host's own name."""
    return capture.text(IDENTITY, "hostname") or _hwloc(capture, "HostName")


def parse_arch(capture: Capture, *, arm: bool) -> str | None:
    """Return ``uname -m``; ``arm`` tells whether the CPU named an Arm implementer."""
    told = capture.text(IDENTITY, "arch") or capture.stdout(MACHINE)
    told = told or _hwloc(capture, "Architecture")
    if told is None and arm:
        return "aarch64"
    return told or _arch_of_cpuinfo(capture)


def parse(capture: Capture, gaps: Gaps) -> Kernel:
    """Return the kernel and its settings."""
    command_line = capture.text(PROC, "cmdline")
    if command_line is None:
        gaps.add("kernel command line", "/proc/cmdline", "not readable")
    os_release = {key: value.strip("\"'") for key, value in _os_release(capture)}
    return Kernel(
        release=capture.text(IDENTITY, "osrelease") or _release(capture),
        version=capture.text(PROC, "version"),
        distribution=os_release.get("ID"),
        distribution_version=os_release.get("VERSION_ID"),
        command_line=command_line,
        sysctls=_sysctls(capture),
        module_parameters=_module_parameters(capture),
        vulnerabilities=dict(capture.entries(VULNERABILITIES).get(VULNERABILITIES.directory, {})),
        pressure=_pressures(capture),
    )


def _hwloc(capture: Capture, name: str) -> str | None:
    return dict(pairs(capture.text(HWLOC_INFO, "hwloc-nofile-info"))).get(name)


def _arch_of_cpuinfo(capture: Capture) -> str | None:
    text = capture.text(CPUINFO, "cpuinfo") or ""
    return "x86_64" if re.search(r"^flags\t*: .*\blm\b", text, re.MULTILINE) else None


def _os_release(capture: Capture) -> list[tuple[str, str]]:
    return list(pairs(capture.text(OS_RELEASE, "os-release"), "="))


def _release(capture: Capture) -> str | None:
    match = re.match(r"Linux version (\S+)", capture.text(PROC, "version") or "")
    return match[1] if match else None


def _sysctls(capture: Capture) -> dict[str, str]:
    found: dict[str, str] = {}
    for source in SYSCTLS:
        prefix = source.directory.removeprefix("/proc/sys/").replace("/", ".")
        for texts in capture.entries(source).values():
            found.update({f"{prefix}.{name}": text for name, text in texts.items()})
    return found


def _module_parameters(capture: Capture) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, source in zip(MODULES, MODULE_PARAMETERS, strict=True):
        for texts in capture.entries(source).values():
            found[name] = dict(texts)
    return found


def _pressures(capture: Capture) -> dict[str, Pressure]:
    pressures: dict[str, Pressure] = {}
    for resource in PRESSURE.names:
        averages = dict(_AVG60.findall(capture.text(PRESSURE, resource) or ""))
        if "some" in averages:
            pressures[resource] = Pressure(
                some_avg60_percent=float(averages["some"]),
                full_avg60_percent=float(averages["full"]) if "full" in averages else None,
            )
    return pressures
