"""Items on how container engines are set up, and what containers may use up."""

from __future__ import annotations

from virtboost.catalogue.commands import docker_setting
from virtboost.catalogue.item import (
    HOST,
    NO_FIGURE,
    Condition,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Platform,
    Subjects,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import (
    DOCKER_LIMITS,
    DOCKER_LOGS,
    DOCKER_STORAGE,
    KUBERNETES_CGROUPS,
)
from virtboost.catalogue.wanted import Wanted
from virtboost.model.container import Container, ContainerEngine
from virtboost.model.host import Host
from virtboost.model.wording import listed, size

PLATFORMS: tuple[Platform, ...] = ("docker",)

STANDALONE = ("docker", "podman")
"""Engines whose containers somebody starts by hand; those of containerd are Kubernetes' to set."""


def standalone(host: Host) -> tuple[Container, ...]:
    """Return the containers that no cluster manager manages."""
    if host.agent("kubelet") is not None:
        return ()
    return tuple(container for container in host.containers if container.engine in STANDALONE)


CONTAINERS: Subjects[Container] = Subjects(
    kind="container",
    select=lambda host: [(container.name, container) for container in standalone(host)],
    none="no container runs that Docker or Podman was given by hand",
    gap="containers",
)

ENGINES: Subjects[ContainerEngine] = Subjects(
    kind="engine",
    select=lambda host: [(engine.name, engine) for engine in host.engines],
    none="there is no container engine",
    gap="containers",
)

RUNNING_CONTAINERS = Condition(
    when="containers of Docker or Podman run, and no kubelet",
    otherwise="no container runs that Docker or Podman was given by hand",
    holds=lambda host: bool(standalone(host)),
    gap="containers",
)


def _memory_limit(host: Host, _: Host, wanted: Wanted) -> Outcome:
    containers = standalone(host)
    if len(containers) < 2 and not host.running_guests:
        return NotApplicable("one container has the host to itself")
    limits = [container.memory_limit_bytes for container in containers]
    unlimited = [c.name for c, limit in zip(containers, limits, strict=True) if limit is None]
    if unlimited:
        return Wrong(
            found=f"{len(unlimited)} of {len(containers)} without a limit: {listed(unlimited)}",
            wanted="a limit for each",
            reason="one that leaks makes the kernel kill programs of its neighbours",
        )
    total = sum(limit for limit in limits if limit is not None)
    return Ok(f"{len(containers)} containers, {size(total)} in all")


GROWING = "json-file"


def _log_growth(host: Host, _: Host, wanted: Wanted) -> Outcome:
    containers = [c for c in standalone(host) if c.log_driver is not None]
    if not containers:
        return Unknown("where the containers log to")
    growing = [
        container.name
        for container in containers
        if container.log_driver == GROWING and "max-size" not in container.log_options
    ]
    if not growing:
        return Ok(f"{len(containers)} containers, none with a log that only grows")
    return Wrong(
        found=f"{len(growing)} of {len(containers)} log to {GROWING} without max-size: "
        f"{listed(growing)}",
        wanted="max-size, or the driver local",
        reason="the files grow until the disk under /var/lib/docker is full, for everybody",
    )


def _storage_driver(host: Host, engine: ContainerEngine, wanted: Wanted) -> Outcome:
    if engine.name not in STANDALONE:
        return NotApplicable("containerd chooses a snapshotter, overlayfs by default")
    if engine.storage_driver is None:
        return Unknown("its storage driver")
    if wanted.accepts(engine.storage_driver):
        return Ok(engine.storage_driver)
    return Wrong(
        found=engine.storage_driver,
        wanted=wanted.text,
        reason="vfs copies each layer whole; devicemapper and aufs are no longer maintained"
        if engine.storage_driver in ("vfs", "devicemapper", "aufs", "overlay")
        else "the site wants another one",
    )


def _cgroup_driver(host: Host, engine: ContainerEngine, wanted: Wanted) -> Outcome:
    if host.agent("kubelet") is not None:
        return NotApplicable("kubelet.cgroup_driver compares it with the kubelet's")
    if engine.cgroup_version == 1:
        return NotApplicable("with cgroup v1, cgroupfs is Docker's default and does no harm")
    if engine.cgroup_driver is None or engine.cgroup_version is None:
        return Unknown("its cgroup driver and version")
    if wanted.accepts(engine.cgroup_driver):
        return Ok(f"{engine.cgroup_driver}, cgroup v{engine.cgroup_version}")
    return Wrong(
        found=f"{engine.cgroup_driver}, cgroup v{engine.cgroup_version}",
        wanted=wanted.text,
        reason="systemd manages the same tree and knows nothing of these groups: limits of its "
        "slices do not hold for containers",
    )


def _image_arch(host: Host, container: Container, wanted: Wanted) -> Outcome:
    if not container.image_arch or not host.arch:
        return Unknown("the architecture of its image")
    if container.image_arch == host.arch:
        return Ok(container.image_arch)
    if (container.image_arch, host.arch) == ("i686", "x86_64"):
        return NotApplicable("an x86_64 CPU runs 32-bit programs itself")
    return Wrong(
        found=f"{container.image_arch} on {host.arch}",
        wanted=host.arch,
        reason="QEMU interprets every instruction of it (binfmt_misc); without that it would not "
        "start",
    )


ITEMS = (
    Item(
        id="container.memory_limit",
        title="Containers that share a host have memory limits",
        layer="container",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="live",
        risk="a limit that is too low kills the program in the container",
        effect=NO_FIGURE,
        why=(
            "Without a limit, a container that leaks memory takes the whole host's, and the kernel "
            "then chooses whom to kill. The Kunpeng Docker guide gives each container its size "
            "(-m 8192m) together with its pCPUs. A container alone on its host needs none."
        ),
        sources=(DOCKER_LIMITS,),
        by_hand="docker update --memory 8g --memory-swap 8g CONTAINER",
        undo_by_hand=(
            "docker update --memory OLD --memory-swap -1 CONTAINER\n"
            "# Docker takes no limit away: OLD is the host's memory where there was none"
        ),
        applies=(RUNNING_CONTAINERS,),
        subjects=HOST,
        judge=_memory_limit,
    ),
    Item(
        id="container.log_growth",
        title="Logs of containers do not grow without end",
        layer="container",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="container restart",
        risk="old lines of the log are lost; the container must be made anew",
        effect=NO_FIGURE,
        why=(
            "Docker's default keeps everything that a container ever printed; Docker keeps it for "
            "compatibility and recommends the driver local. Quiet containers never notice. "
            "The setting holds for containers that are made after it."
        ),
        sources=(DOCKER_LOGS,),
        by_hand=docker_setting('"log-driver": "local"; then make the containers anew'),
        undo_by_hand=docker_setting('without "log-driver"; then make the containers anew'),
        applies=(RUNNING_CONTAINERS,),
        subjects=HOST,
        judge=_log_growth,
    ),
    Item(
        id="container.storage_driver",
        title="The engine stores layers with overlayfs",
        layer="container",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="service restart",
        risk="images and containers of the old driver are not seen by the new one",
        effect=NO_FIGURE,
        why=(
            "overlay2 shares page cache between containers of one image and copies a file on its "
            "first write; vfs copies whole layers, devicemapper and aufs are gone from current "
            "engines. btrfs and zfs are right on those file systems. Data belongs on volumes "
            "with either."
        ),
        sources=(DOCKER_STORAGE,),
        by_hand=docker_setting('"storage-driver": "overlay2"'),
        undo_by_hand=docker_setting('"storage-driver": "OLD"'),
        subjects=ENGINES,
        wanted=Wanted("overlay2 | overlayfs | overlay | fuse-overlayfs | btrfs | zfs"),
        judge=_storage_driver,
    ),
    Item(
        id="container.cgroup_driver",
        title="One manager of control groups: systemd",
        layer="container",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="service restart",
        risk="all containers restart",
        effect=NO_FIGURE,
        why=(
            "With cgroup v2, Docker uses systemd unless somebody chose otherwise. Two managers of "
            "one tree do not see each other's limits. Hosts without systemd have no choice: "
            "change the wanted value there."
        ),
        sources=(KUBERNETES_CGROUPS,),
        by_hand=docker_setting('"exec-opts": ["native.cgroupdriver=systemd"]'),
        undo_by_hand=docker_setting('without "exec-opts"'),
        subjects=ENGINES,
        wanted=Wanted("systemd"),
        judge=_cgroup_driver,
    ),
    Item(
        id="container.image_arch",
        title="Images are for the host's architecture",
        layer="container",
        platforms=("docker", "kubernetes"),
        severity="warning",
        takes_effect="container restart",
        risk="the image for this architecture may be of another version",
        effect=NO_FIGURE,
        why=(
            "In a cluster of x86 and Arm hosts, an image for the other architecture does not start "
            "or is interpreted, many times slower. Where a pod may land cannot be told from one "
            "host: label nodes (kubernetes.io/arch) and select them, or push images for both."
        ),
        sources=(
            "Kunpeng BoostKit, Kubernetes with x86 and Arm: "
            "https://www.hikunpeng.com/document/detail/en/kunpengcpfs/twp/kunpengcpfs_19_0077.html",
            "Huawei Cloud CCE, images for both architectures: "
            "https://support.huaweicloud.com/en-us/bestpractice-cce/cce_bestpractice_0305.html",
        ),
        by_hand="docker pull --platform linux/arm64 IMAGE  # then make the container anew",
        undo_by_hand="docker pull --platform linux/amd64 IMAGE",
        rule="R19",
        subjects=Subjects(
            kind="container",
            select=lambda host: [(container.name, container) for container in host.containers],
            none="no container runs",
            gap="containers",
        ),
        judge=_image_arch,
    ),
)
