"""Docker and Podman: their settings, and their containers without environment and labels.

Source: docker-info(1), docker-inspect(1), podman-inspect(1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from virtboost.model.container import Container, ContainerEngine
from virtboost.scan.gaps import Gaps
from virtboost.scan.texts import cpu_list, node_list, problem
from virtboost.transport.source import Capture, Command, Output, Source

_DOCKER = ("docker", "--host", "unix:///var/run/docker.sock")
"""This machine's daemon, whatever the user's context and environment name."""


def _template(**fields: str) -> str:
    """Return the Go template of a JSON object; only what it names leaves the engine."""
    members = ",".join(f'"{name}":{{{{json {path}}}}}' for name, path in fields.items())
    return f"{{{members}}}"


_CONTAINER = {
    "name": ".Name",
    "image_id": ".Image",
    "cpus": ".HostConfig.CpusetCpus",
    "mems": ".HostConfig.CpusetMems",
    "nano_cpus": ".HostConfig.NanoCpus",
    "quota": ".HostConfig.CpuQuota",
    "period": ".HostConfig.CpuPeriod",
    "shares": ".HostConfig.CpuShares",
    "memory": ".HostConfig.Memory",
    "network": ".HostConfig.NetworkMode",
    "privileged": ".HostConfig.Privileged",
    "log": ".HostConfig.LogConfig.Type",
}
"""What both engines call the same."""

_IMAGE = "{{.Id}} {{.Architecture}}"

DOCKER = Command(
    "docker",
    (
        *_DOCKER,
        "info",
        "--format",
        _template(
            version=".ServerVersion",
            cgroup_driver=".CgroupDriver",
            storage_driver=".Driver",
            log_driver=".LoggingDriver",
        ),
    ),
)

DOCKER_CONTAINERS = Command(
    "docker-containers",
    (
        *_DOCKER,
        "inspect",
        "--format",
        _template(
            id=".Id",
            image=".Config.Image",
            max_size='(index .HostConfig.LogConfig.Config "max-size")',
            max_file='(index .HostConfig.LogConfig.Config "max-file")',
            **_CONTAINER,
        ),
        "{}",
    ),
    foreach=(*_DOCKER, "ps", "--quiet", "--no-trunc"),
    batch=True,
)

DOCKER_IMAGES = Command(
    "docker-images",
    (*_DOCKER, "image", "inspect", "--format", _IMAGE, "{}"),
    foreach=(*_DOCKER, "images", "--quiet", "--no-trunc"),
    batch=True,
)


def _if_used(command: str) -> tuple[str, ...]:
    """Return a program that runs ``command`` if root's Podman has run since the host started.

    Podman makes its folders where they are missing; a scan must leave nothing behind.  An ordinary
    user may not look into Podman's folder, which fails, and tells that there is one.
    """
    state = "/run/libpod"
    return ("sh", "-c", f"[ ! -d {state} ] || {{ ls {state}/alive >/dev/null && {command}; }}")


PODMAN = Command(
    "podman",
    _if_used(
        "podman info --format '"
        + _template(
            version=".Version.Version",
            cgroup_driver=".Host.CgroupManager",
            storage_driver=".Store.GraphDriverName",
            log_driver=".Host.LogDriver",
        )
        + "'"
    ),
)

PODMAN_CONTAINERS = Command(
    "podman-containers",
    (
        "podman",
        "inspect",
        "--format",
        _template(
            id=".ID", image=".ImageName", max_size=".HostConfig.LogConfig.Size", **_CONTAINER
        ),
        "{}",
    ),
    foreach=_if_used("podman ps --quiet --no-trunc"),
    batch=True,
)

PODMAN_IMAGES = Command(
    "podman-images",
    ("podman", "image", "inspect", "--format", _IMAGE, "{}"),
    foreach=_if_used("podman images --quiet --no-trunc"),
    batch=True,
)

SOURCES: tuple[Source, ...] = (
    DOCKER,
    DOCKER_CONTAINERS,
    DOCKER_IMAGES,
    PODMAN,
    PODMAN_CONTAINERS,
    PODMAN_IMAGES,
)

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Go's names of architectures as ``uname -m`` has them; the others that matter are alike."""

_DEFAULT_PERIOD_US = 100_000
"""The scheduler's, where an engine tells 0."""


class _Engine(msgspec.Struct):
    version: str | None
    cgroup_driver: str | None
    storage_driver: str | None
    log_driver: str | None


class _Told(msgspec.Struct):
    """What the template prints of one container; 0 and the empty text are "not set"."""

    id: str
    name: str
    image: str | None
    image_id: str | None
    cpus: str
    mems: str
    nano_cpus: int
    quota: int
    period: int
    shares: int
    memory: int
    network: str | None
    privileged: bool
    log: str | None
    max_size: str | None = None
    max_file: str | None = None


T = TypeVar("T")


def parse_engines(capture: Capture, *, cgroup_version: int | None) -> Iterator[ContainerEngine]:
    """Yield Docker and Podman where they are and answer."""
    for name, command in (("docker", DOCKER), ("podman", PODMAN)):
        told = _decoded(capture.stdout(command) or "", _Engine)
        if told is not None:
            yield ContainerEngine(
                name=name,
                version=told.version,
                cgroup_driver=told.cgroup_driver,
                cgroup_version=cgroup_version,
                storage_driver=told.storage_driver,
                log_driver=told.log_driver,
            )


def parse(capture: Capture, gaps: Gaps) -> Iterator[tuple[str, Container]]:
    """Yield each running container with its id, as Docker and Podman describe it."""
    for engine, containers, images in (
        ("docker", DOCKER_CONTAINERS, DOCKER_IMAGES),
        ("podman", PODMAN_CONTAINERS, PODMAN_IMAGES),
    ):
        architectures = dict(_architectures(capture.outputs(images)))
        for output in capture.outputs(containers):
            podman_in_disguise = engine == "docker" and "podman" in output.stderr.lower()
            if output.status != 0 and not output.stdout and not podman_in_disguise:
                gaps.add("containers", f"{engine} ps", problem(output))
            for line in output.stdout.splitlines():
                told = _decoded(line, _Told)
                if told is None:
                    gaps.add("containers", f"{engine} inspect", "not what its template asks for")
                elif not told.name.startswith("/k8s_POD_"):  # a pod's sandbox, which only waits
                    yield told.id, _container(engine, told, architectures)


def _decoded(text: str, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        return None


def _architectures(outputs: tuple[Output, ...]) -> Iterator[tuple[str, str]]:
    for output in outputs:
        for line in output.stdout.splitlines():
            image, _, architecture = line.partition(" ")
            if architecture:
                yield image, _MACHINES.get(architecture, architecture)


def _container(engine: str, told: _Told, architectures: dict[str, str]) -> Container:
    options = {"max-size": told.max_size, "max-file": told.max_file}
    return Container(
        name=told.name.removeprefix("/"),
        engine=engine,
        image=told.image,
        image_arch=architectures.get(told.image_id or ""),
        cpuset=cpu_list(told.cpus) or None,
        node_ids=node_list(told.mems),
        cpu_quota_ratio=_quota(told),
        cpu_shares=told.shares or None,
        memory_limit_bytes=told.memory if told.memory > 0 else None,
        log_driver=told.log,
        log_options={name: text for name, text in options.items() if text and text != "0B"},
        network_mode=told.network,
        privileged=told.privileged,
    )


def _quota(told: _Told) -> float | None:
    if told.nano_cpus > 0:
        return told.nano_cpus / 1e9
    return told.quota / (told.period or _DEFAULT_PERIOD_US) if told.quota > 0 else None
