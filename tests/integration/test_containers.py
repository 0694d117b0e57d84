"""Containers of a real Docker and containerd, held against the kernel's view of their processes."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import ask
from support.engines import IMAGE, Engines
from virtboost.model.container import Container
from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.scan import container, cpu, numa, topology
from virtboost.scan.host import parse, scan
from virtboost.transport.local import LocalReader
from virtboost.transport.recorded import RecordedReader, Recording, save
from virtboost.transport.redact import Redactor

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("engines")]

SOURCES = (*topology.SOURCES, *numa.SOURCES, *cpu.SOURCES, *container.SOURCES)

POD = "/kubepods/burstable/pod11111111-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def containers(engines: Engines) -> Iterator[Engines]:
    """Two containers of Docker, a pod's container and its sandbox of containerd."""
    none = ("--network", "none")
    try:
        engines.run(
            "vbtest-pinned",
            *("--cpuset-cpus", "0", "--cpuset-mems", "0", "--cpus", "0.5", "--memory", "64m"),
            *("--log-opt", "max-size=10m", "--env", "TOKEN=opensesame", "--label", "x=open2"),
            *none,
        )
        engines.run(
            "vbtest-free", *none, "--cpu-quota", "150000", "--cpu-period", "100000", "-c", "512"
        )
        engines.run_by_ctr(
            "vbtest-pod", "--cgroup", f"{POD}/vbtest-pod", "--memory-limit", "33554432"
        )
        engines.ctr("images", "tag", f"docker.io/{IMAGE}", "registry.k8s.io/pause:3.9")
        engines.ctr(
            "run", "--detach", "registry.k8s.io/pause:3.9", "vbtest-sandbox", "sleep", "3600"
        )
        yield engines
    finally:
        for name in ("vbtest-pinned", "vbtest-free"):
            engines.remove(name)
        for name in ("vbtest-pod", "vbtest-sandbox"):
            engines.remove_by_ctr(name)


def scanned() -> Host:
    return parse(LocalReader().read(SOURCES))


def one(name: str) -> Container:
    return {found.name: found for found in scanned().containers}[name]


def allowed(pid: int) -> tuple[CpuSet, tuple[int, ...]]:
    """Return the pCPUs and nodes that the kernel lets a process use."""
    status = dict(re.findall(r"^(\w+):\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M))
    nodes = CpuSet.parse(status["Mems_allowed_list"])
    return CpuSet.parse(status["Cpus_allowed_list"]), tuple(nodes)


def pid_of(engines: Engines, name: str) -> int:
    if name in ("vbtest-pinned", "vbtest-free"):
        return int(engines.inspect(name)["State"]["Pid"])
    rows = [row.split() for row in engines.ctr("tasks", "ls").splitlines()]
    return int(next(row[1] for row in rows if row[0] == name))


@pytest.mark.parametrize("name", ["vbtest-pinned", "vbtest-free", "vbtest-pod"])
def test_cpus_and_nodes_are_those_of_the_process(containers: Engines, name: str) -> None:
    host = scanned()
    found = {each.name: each for each in host.containers}[name]
    cpus, nodes = allowed(pid_of(containers, name))
    assert (found.cpuset or host.topology.online) == cpus
    assert (found.node_ids or tuple(node.id for node in host.topology.numa_nodes)) == nodes


def test_container_with_limits(containers: Engines) -> None:
    assert one("vbtest-pinned") == Container(
        name="vbtest-pinned",
        engine="docker",
        image=IMAGE,
        image_arch=ask("uname", "-m"),
        cpuset=CpuSet({0}),
        node_ids=(0,),
        cpu_quota_ratio=0.5,
        memory_limit_bytes=64 << 20,
        log_driver="json-file",
        log_options={"max-size": "10m"},
        network_mode="none",
    )


def test_container_without_limits(containers: Engines) -> None:
    found = one("vbtest-free")
    assert (found.cpuset, found.node_ids, found.memory_limit_bytes) == (None, None, None)
    assert (found.cpu_quota_ratio, found.cpu_shares) == (1.5, 512)
    assert found.log_options == {}


def test_docker_update_is_told(containers: Engines) -> None:
    containers.docker("update", "--cpus", "0.25", "vbtest-pinned")
    try:
        assert one("vbtest-pinned").cpu_quota_ratio == 0.25
    finally:
        containers.docker("update", "--cpus", "0.5", "vbtest-pinned")


def test_change_behind_the_engine_is_told(containers: Engines) -> None:
    """The kubelet, or a person, writes the control group; Docker does not know."""
    pid = pid_of(containers, "vbtest-free")
    files = [Path(f"/sys/fs/cgroup{group}/cpuset.cpus") for group in groups(pid)]
    file = next(path for path in files if path.exists())
    before = file.read_text().strip()
    file.write_text("0")
    try:
        assert one("vbtest-free").cpuset == allowed(pid)[0] == CpuSet({0})
    finally:
        file.write_text(before or "\n")


def groups(pid: int) -> list[str]:
    """Return the control groups of a process below the mount point, of either version."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    fields = [line.split(":", 2) for line in lines]
    return [f"/{controllers}{path}" if controllers else path for _, controllers, path in fields]


def test_containers_of_kubernetes_without_docker_s_own_and_sandboxes(containers: Engines) -> None:
    """Docker's containers are containerd's too, and the sandbox of a pod only waits."""
    listed = containers.docker("ps", "--quiet", "--no-trunc").split()
    of_docker = ask("ctr", "--namespace", "moby", "tasks", "ls")
    assert all(container_id in of_docker for container_id in listed)
    found = {each.name: each.engine for each in scanned().containers}
    assert found == {
        "vbtest-free": "docker",
        "vbtest-pinned": "docker",
        "vbtest-pod": "containerd",
    }
    assert one("vbtest-pod").memory_limit_bytes == 32 << 20


def test_engines(containers: Engines) -> None:
    docker, containerd = scanned().engines
    told = containers.docker(
        "info", "--format", "{{.ServerVersion}} {{.CgroupDriver}} {{.CgroupVersion}} {{.Driver}}"
    )
    assert (
        f"{docker.version} {docker.cgroup_driver} {docker.cgroup_version} {docker.storage_driver}"
        == told
    )
    assert (docker.name, docker.log_driver) == ("docker", "json-file")
    assert f"v{containerd.version}" in ask("containerd", "--version").replace(" 1.", " v1.")
    assert (containerd.name, containerd.cgroup_driver) == ("containerd", "cgroupfs")


def test_recording_has_neither_environment_nor_labels(containers: Engines, tmp_path: Path) -> None:
    capture = LocalReader().read(SOURCES)
    assert "open" not in "".join(
        output.stdout for _, outputs in capture.commands() for output in outputs
    )
    redacted = Redactor().capture(capture)
    save(redacted, tmp_path / "host", Recording(host="local", version="0", redacted=True))
    assert scan(RecordedReader(tmp_path / "host")).containers == scanned().containers


def test_ordinary_user_gets_a_gap(
    containers: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither daemon lets a stranger in; that is not "no containers"."""
    for program in ("docker", "ctr"):
        stranger = "setpriv --reuid=65534 --regid=65534 --clear-groups"
        script = tmp_path / program
        script.write_text(f'#!/bin/sh\nexec {stranger} {shutil.which(program)} "$@"\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    host = scanned()
    assert host.containers == ()
    gaps = {gap.path: gap.reason for gap in host.gaps if gap.what == "containers"}
    assert gaps.keys() == {"docker ps", "ctr tasks ls"}
    assert all("permission denied" in reason for reason in gaps.values())
