"""Containers of Kubernetes' runtimes, by crictl, else by containerd's own ctr.

ctr tells the whole specification of a container or only its id and image; the specification has
the environment, so it is not asked for.  Docker's containers are containerd's as well, in a
namespace (``moby``) that is left out.

Source: https://kubernetes.io/docs/tasks/debug/debug-cluster/crictl/; ``ContainerStatus`` of
https://github.com/kubernetes/cri-api; ctr(8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from virtboost.model.container import Container, ContainerEngine
from virtboost.scan import cgroup
from virtboost.scan.gaps import Gaps
from virtboost.scan.texts import pairs, problem
from virtboost.transport.source import Capture, Command, Source

CRI = Command("cri", ("crictl", "version"))

CRI_CONTAINERS = Command("cri-containers", ("crictl", "ps", "--output", "json"))

_CTR = ("ctr", "--connect-timeout", "300ms")
"""ctr waits for a daemon that does not run, ten seconds by itself."""

CONTAINERD = Command("containerd", (*_CTR, "version"))

NAMESPACES = ("k8s.io", "default")
"""Kubernetes' namespace, and that of ctr and nerdctl."""

TASKS = {
    space: Command(f"containerd-tasks-{space}", (*_CTR, "--namespace", space, "tasks", "ls"))
    for space in NAMESPACES
}
"""Containers that run."""

IMAGES = {
    space: Command(f"containerd-images-{space}", (*_CTR, "--namespace", space, "containers", "ls"))
    for space in NAMESPACES
}
"""Every container, with its image."""

SOURCES: tuple[Source, ...] = (
    CRI,
    CRI_CONTAINERS,
    CONTAINERD,
    *TASKS.values(),
    *IMAGES.values(),
)

_LABEL = "io.kubernetes.pod."


class _Metadata(msgspec.Struct):
    name: str = ""


class _Image(msgspec.Struct):
    image: str = ""
    user_specified: str = msgspec.field(default="", name="userSpecifiedImage")


class _Told(msgspec.Struct):
    """A container of ``crictl ps``."""

    id: str
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    image: _Image = msgspec.field(default_factory=_Image)
    labels: dict[str, str] | None = None


class _List(msgspec.Struct):
    containers: list[_Told] = []


def parse(capture: Capture, gaps: Gaps) -> Iterator[tuple[str, Container]]:
    """Yield each running container with its id; a container of crictl is not told again by ctr."""
    seen: set[str] = set()
    for container_id, container in (*_of_cri(capture, gaps), *_of_containerd(capture, gaps)):
        if container_id not in seen:
            yield container_id, container
        seen.add(container_id)


def parse_engines(
    capture: Capture, containers: Mapping[str, Container], *, cgroup_version: int | None
) -> Iterator[ContainerEngine]:
    """Yield the runtime that crictl names, else containerd, where it answers.

    Its cgroup driver is in a file that may hold a registry's password; where it has containers,
    their control groups tell.
    """
    told = dict(pairs(capture.stdout(CRI)))
    name, version = told.get("RuntimeName"), told.get("RuntimeVersion")
    server = (capture.stdout(CONTAINERD) or "").partition("Server:")[2]
    if name is None and server:
        name, version = "containerd", dict(pairs(server)).get("Version")
    if name is not None:
        own = (i for i, container in containers.items() if container.engine == name)
        drivers = (cgroup.driver_of(capture, container_id) for container_id in own)
        yield ContainerEngine(
            name=name,
            version=version,
            cgroup_driver=next((driver for driver in drivers if driver), None),
            cgroup_version=cgroup_version,
        )


def _of_cri(capture: Capture, gaps: Gaps) -> Iterator[tuple[str, Container]]:
    engine = dict(pairs(capture.stdout(CRI))).get("RuntimeName") or "containerd"
    for output in capture.outputs(CRI_CONTAINERS):
        if output.status != 0:
            gaps.add("containers", "crictl ps", problem(output))
            continue
        try:
            told = msgspec.json.decode(output.stdout, type=_List)
        except msgspec.DecodeError:
            gaps.add("containers", "crictl ps", "not a list of containers in JSON")
            continue
        for container in told.containers:
            yield container.id, _container(engine, container)


def _container(engine: str, told: _Told) -> Container:
    labels = told.labels or {}
    pod = (labels.get(f"{_LABEL}namespace"), labels.get(f"{_LABEL}name"), told.metadata.name)
    return Container(
        name="/".join(part for part in pod if part) or told.id,
        engine=engine,
        image=told.image.user_specified or told.image.image or None,
    )


def _of_containerd(capture: Capture, gaps: Gaps) -> Iterator[tuple[str, Container]]:
    for space in NAMESPACES:
        images = {words[0]: words[1] for words in _rows(capture.stdout(IMAGES[space]), 3)}
        for output in capture.outputs(TASKS[space]):
            if output.status != 0:
                gaps.add("containers", "ctr tasks ls", problem(output))
            for container_id, _, state in _rows(output.stdout, 3):
                image = images.get(container_id)
                sandbox = image is not None and "/pause:" in image
                if state in ("RUNNING", "PAUSED") and not sandbox:
                    yield (
                        container_id,
                        Container(name=container_id, engine="containerd", image=image),
                    )


def _rows(table: str | None, columns: int) -> Iterator[list[str]]:
    """Yield the rows of a table below its heading."""
    for line in (table or "").splitlines()[1:]:
        words = line.split()
        if len(words) == columns:
            yield words
