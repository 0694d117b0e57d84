"""What the kernel lets each container use: its control group, of either version.

An engine tells what it was asked for; the group tells what holds: a change behind its back, and the
CPUs that a pod or a slice above takes away.

Source: Documentation/admin-guide/cgroup-v1/{cpusets,memory}.rst and cgroup-v2.rst,
Documentation/scheduler/sched-bwc.rst of Linux.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from virtboost.scan.texts import cpu_list, natural, node_list
from virtboost.transport.source import Capture, Files

_ROOT = "/sys/fs/cgroup"

_PLACES = (
    "docker/*",
    "system.slice/docker-*.scope",
    "libpod_parent/libpod-*",
    "machine.slice/libpod-*.scope",
    "kubepods/pod*/*",
    "kubepods/*/pod*/*",
    "kubepods.slice/kubepods-pod*.slice/*.scope",
    "kubepods.slice/kubepods-*.slice/kubepods-*-pod*.slice/*.scope",
    "k8s.io/*",
    "default/*",
)
"""Where Docker, Podman, Kubernetes and ctr put containers, as cgroupfs and as systemd drivers."""

_NAMES = (
    "cpuset.cpus.effective",
    "cpuset.effective_cpus",
    "cpuset.cpus",
    "cpuset.mems.effective",
    "cpuset.effective_mems",
    "cpuset.mems",
    "cpu.max",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "memory.max",
    "memory.limit_in_bytes",
)

GROUPS = tuple(
    Files(f"{root}/{place}", _NAMES) for root in (_ROOT, f"{_ROOT}/[cm]*") for place in _PLACES
)
"""Of version 2, and of the cpuset, cpu and memory controllers of version 1."""

VERSION_2 = Files(_ROOT, ("cgroup.controllers",))

VERSION_1 = Files(f"{_ROOT}/cpuset", ("cpuset.cpus",))

SOURCES = (*GROUPS, VERSION_2, VERSION_1)

_NO_LIMIT = 1 << 62
"""Version 1 writes "no limit" as the largest number of pages that fits into 63 bits."""


def parse_version(capture: Capture) -> int | None:
    """Return which version of control groups the host has; None: not told."""
    if capture.text(VERSION_2, "cgroup.controllers") is not None:
        return 2
    return None if capture.text(VERSION_1, "cpuset.cpus") is None else 1


def parse(capture: Capture) -> dict[str, dict[str, Any]]:
    """Return the fields of a `Container` that its group tells, by the container's id."""
    texts: dict[str, dict[str, str]] = {}
    for source in GROUPS:
        for directory, found in capture.entries(source).items():
            container_id = _container_id(directory)
            if container_id is not None:
                texts.setdefault(container_id, {}).update(found)
    return {container_id: dict(_fields(found)) for container_id, found in texts.items()}


def driver_of(capture: Capture, container_id: str) -> str | None:
    """Return which cgroup driver made a container's group; None where it is not found."""
    for source in GROUPS:
        for directory in capture.entries(source):
            if _container_id(directory) == container_id:
                return "systemd" if directory.endswith(".scope") else "cgroupfs"
    return None


def _container_id(directory: str) -> str | None:
    """Return the id in ``.../cri-containerd-ID.scope``; conmon's own group is no container."""
    name = directory.rpartition("/")[2].removesuffix(".scope")
    prefix, _, last = name.rpartition("-")
    if prefix.endswith("conmon"):
        return None
    return last if re.fullmatch(r"[0-9a-f]{64}", last) else name


def _fields(texts: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    cpus = cpu_list(_first(texts, "cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"))
    if cpus:
        yield "cpuset", cpus
    nodes = _first(texts, "cpuset.mems.effective", "cpuset.effective_mems", "cpuset.mems")
    if node_list(nodes):
        yield "node_ids", node_list(nodes)
    quota = _first(texts, "cpu.max", "cpu.cfs_quota_us")
    if quota is not None:
        yield "cpu_quota_ratio", _quota(f"{quota} {texts.get('cpu.cfs_period_us', '')}")
    limit = _first(texts, "memory.max", "memory.limit_in_bytes")
    if limit is not None:
        size = natural(limit)
        yield "memory_limit_bytes", None if size is None or size >= _NO_LIMIT else size


def _first(texts: Mapping[str, str], *names: str) -> str | None:
    """Return the first that has anything: the newest kernels' name first."""
    return next((texts[name] for name in names if texts.get(name)), None)


def _quota(text: str) -> float | None:
    """Read ``50000 100000``; the quota is ``max`` or -1 where there is none."""
    quota, period = (natural(word) for word in (*text.split(), "", "")[:2])
    return quota / period if quota and period else None
