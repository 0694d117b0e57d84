"""Containers and their engines."""

from __future__ import annotations

from msgspec import Struct

from virtboost.model.cpuset import CpuSet


class ContainerEngine(Struct, frozen=True, kw_only=True):
    """Docker, containerd or Podman; None is what it does not tell."""

    name: str
    """``docker``, ``podman``, ``containerd``, ``cri-o``."""
    version: str | None = None
    """As the engine's own command prints it."""
    cgroup_driver: str | None = None
    """``systemd`` or ``cgroupfs``."""
    cgroup_version: int | None = None
    """1 or 2."""
    storage_driver: str | None = None
    """``overlay2``, ``devicemapper``, ..."""
    log_driver: str | None = None
    """Default for new containers."""


class Container(Struct, frozen=True, kw_only=True):
    """A running container."""

    name: str
    """``namespace/pod/container`` in Kubernetes; the id where nothing else is told."""
    engine: str
    """``docker``, ``podman``, ``containerd``, ``cri-o``."""
    image: str | None = None
    """Its name as the user gave it; None: not told."""
    image_arch: str | None = None
    """Architecture of the image as ``uname -m`` spells it; None: not told."""
    cpuset: CpuSet | None = None
    """pCPUs that it may use; None: all."""
    node_ids: tuple[int, ...] | None = None
    """NUMA nodes whose memory it may use (``cpuset.mems``); None: all."""
    cpu_quota_ratio: float | None = None
    """CPUs' worth of time it may use; 1.5 is one and a half; None: no quota."""
    cpu_shares: int | None = None
    """Relative weight; None: the default, 1024, or not told."""
    memory_limit_bytes: int | None = None
    """None: no limit."""
    log_driver: str | None = None
    """``json-file``, ``journald``, ...; None: not told."""
    log_options: dict[str, str] = {}
    """Options of the log driver: ``max-size``."""
    network_mode: str | None = None
    """``bridge``, ``host``, the name of a network; None: not told."""
    privileged: bool = False
    """Whether it has every capability and device."""
