"""A plan told to real Nova, to the SDK of oVirt and to a real Docker, and what they make of it."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree
from msgspec.structs import replace

from support.emitted import MIB, PAGE, cpus, host, placement
from support.engines import IMAGE, Engines
from support.environments import nova, ovirt
from support.nova_peer import Nova, serving
from virtboost.emit.container import run_command
from virtboost.emit.nova import extra_specs, nova_conf
from virtboost.emit.ovirt import numa_nodes, vm
from virtboost.model.cpuset import CpuSet
from virtboost.model.placement import GuestPlacement, VcpuPlacement
from virtboost.model.plan import Plan

PLAN = Plan(
    hostname="kp",
    host_pcpus=cpus("0-3,48-51"),
    free_pcpus=cpus("8-47,56-95"),
    guests=(placement(),),
)

VALIDATE = """
import json, os, sys
os.environ.setdefault("OS_NOVA_DISABLE_EVENTLET_PATCHING", "true")
from nova.api.validation.extra_specs import validators
for key, value in json.load(sys.stdin):
    try:
        validators.validate(key, value)
    except Exception as error:
        print(key, value, error)
"""

READ_AND_WRITE = """
import sys
from ovirtsdk4 import reader, writer
print(writer.Writer.write(reader.Reader.read(sys.stdin.read())))
"""


def uneven() -> GuestPlacement:
    """Return a guest whose second cell has less memory."""
    placed = placement()
    first, second = placed.cells
    return replace(placed, cells=(first, replace(second, memory_bytes=256 * MIB)))


def shared() -> GuestPlacement:
    pool = CpuSet(range(4, 8))
    vcpus = tuple(VcpuPlacement(vcpu=n, pcpus=pool) for n in range(4))
    return replace(placement((0,)), vcpus=vcpus, dedicated=False, topology=None)


def own_emulator() -> GuestPlacement:
    return replace(placement((0,)), emulator_pcpus=CpuSet({40}))


SHAPES = (placement(), placement((1,)), placement(page=4096), uneven(), shared(), own_emulator())


def program(python: str, text: str, given: str) -> str:
    done = subprocess.run(
        (python, "-c", text), input=given, text=True, capture_output=True, timeout=120, check=True
    )
    return done.stdout


@pytest.mark.xdist_group("nova")
def test_nova_finds_every_extra_spec_valid() -> None:
    specs = [pair for shape in SHAPES for pair in extra_specs(shape, host()).items()]
    wrong = [("hw:cpu_policy", "dedicate"), ("hw:numa_node", "2")]
    told = program(nova(), VALIDATE, json.dumps([*specs, *wrong])).splitlines()
    assert [line.split()[0] for line in told] == [key for key, _ in wrong]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nova]:
    """Nova with the plan's host, whose nova.conf has what the plan says."""
    conf = dict(line.split(" = ") for line in nova_conf(PLAN, host()).splitlines()[1:])
    told = {
        "hosts": [
            {
                "name": "kp",
                "arch": "aarch64",
                "sockets": 1,
                "nodes_per_socket": 2,
                "cores": 48,
                "mem_kib": 64 << 20,
                "cpu_model": "Kunpeng-920",
                "cpu_vendor": "HiSilicon",
                "mempages": [[4, 7 << 20], [PAGE >> 10, 1024]],
                "conf": {"compute": conf},
            }
        ],
        "images": [{"name": "arm", "properties": {"hw_architecture": "aarch64"}}],
    }
    with serving(told, tmp_path_factory.mktemp("nova")) as found:
        found.aggregate("aarch64", "kp", {"hw_architecture": "aarch64"})
        yield found


@pytest.mark.xdist_group("nova")
def test_nova_runs_a_guest_of_the_flavor_as_planned(peer: Nova) -> None:
    """Two cells on two nodes, each vCPU on a pCPU of the dedicated set, in 2 MiB pages."""
    specs = extra_specs(placement(), host())
    server, status = peer.boot("db", "arm", peer.flavor("db", 8, 1024, specs))
    assert status == "ACTIVE"
    cells = peer.nodes(server)
    assert sorted(cell["host_node"] for cell in cells) == [0, 1]
    assert [cell["memory_mb"] for cell in cells] == [512, 512]
    pins = CpuSet(pcpu for cell in cells for pcpu in cell["cpu_pinning"].values())
    assert len(pins) == 8
    assert pins <= cpus("4-47,52-95")


@pytest.mark.xdist_group("nova")
def test_nova_keeps_a_guest_off_a_foreign_processor(peer: Nova) -> None:
    specs = extra_specs(placement(), replace(host(), arch="x86_64"))
    _, status = peer.boot("x86", "arm", peer.flavor("x86", 8, 1024, specs))
    assert status == "ERROR"


def elements(root: etree._Element) -> list[tuple[str, str]]:
    """Return every path with its text, in an order of its own: oVirt sorts by name."""
    tree = root.getroottree()
    names = ((tree.getelementpath(each), each) for each in root.iter())
    return sorted((str(name), (each.text or "").strip()) for name, each in names)


@pytest.mark.xdist_group("ovirt")
@pytest.mark.parametrize("shape", [placement(), uneven(), shared()])
def test_ovirt_loses_nothing_of_what_it_reads(shape: GuestPlacement) -> None:
    """Its SDK skips elements that it does not know: what it writes again must be the same."""
    nodes = etree.fromstring(f"<all>{numa_nodes(shape)}</all>")
    for ours in (etree.fromstring(vm(shape)), *map(detached, nodes)):
        text = etree.tostring(ours, encoding="unicode")
        again = etree.fromstring(program(ovirt(), READ_AND_WRITE, text))
        assert elements(again) == elements(ours)


def detached(element: etree._Element) -> etree._Element:
    return etree.fromstring(etree.tostring(element))


@pytest.mark.needs_root
@pytest.mark.xdist_group("engines")
def test_docker_runs_a_container_with_the_flags(engines: Engines) -> None:
    """The kernel says which CPUs and nodes its process may use."""
    pcpus = VcpuPlacement(vcpu=0, pcpus=CpuSet({0}))
    placed = replace(
        placement((0,), page=4096), name="vbtest-emitted", kind="container", vcpus=(pcpus,)
    )
    words = shlex.split(run_command(placed))
    assert (words[:2], words[-1]) == (["docker", "run"], "IMAGE")
    try:
        engines.docker("run", *words[2:-1], "--network", "none", IMAGE, "sleep", "3600")
        found = engines.inspect("vbtest-emitted")
        status = Path(f"/proc/{found['State']['Pid']}/status").read_text()
        allowed = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert allowed["Cpus_allowed_list"] == "0"
        assert allowed["Mems_allowed_list"] == "0"
        assert found["HostConfig"]["Memory"] == found["HostConfig"]["MemorySwap"] == 512 * MIB
    finally:
        engines.remove("vbtest-emitted")
