"""A plan for Docker, Nova, the kubelet and oVirt; expected values are from their manuals."""

from __future__ import annotations

import yaml
from lxml import etree

from support.emitted import MIB, cpus, host, placement
from virtboost.emit.container import compose_file, run_command
from virtboost.emit.kubelet import kubelet_configuration
from virtboost.emit.nova import extra_specs, flavor_commands, nova_conf
from virtboost.emit.ovirt import numa_nodes, pinning, vm
from virtboost.model.plan import Plan
from virtboost.model.size import Size
from virtboost.model.workload import HostShare

PLAN = Plan(
    hostname="kp",
    host_pcpus=cpus("0-3,48-51"),
    free_pcpus=cpus("8-47,56-95"),
    guests=(placement(),),
)


def test_docker_run() -> None:
    assert run_command(placement((1,))) == (
        "docker run --detach --name db --cpuset-cpus 52-55 --cpuset-mems 1"
        f" --memory {512 * MIB} --memory-swap {512 * MIB} IMAGE"
    )


def test_compose() -> None:
    found = yaml.safe_load(compose_file([placement((1,))]))["services"]["db"]
    assert found == {
        "cpuset": "52-55",
        "mem_limit": 512 * MIB,
        "memswap_limit": 512 * MIB,
    }


def test_nova_host() -> None:
    assert nova_conf(PLAN, host()) == (
        "[compute]\ncpu_dedicated_set = 4-47,52-95\ncpu_shared_set = 0-3,48-51\n"
    )


def test_nova_flavor() -> None:
    assert extra_specs(placement(), host()) == {
        "aggregate_instance_extra_specs:hw_architecture": "aarch64",
        "hw:cpu_policy": "dedicated",
        "hw:numa_nodes": "2",
        "hw:mem_page_size": "2048",
        "hw:emulator_threads_policy": "share",
        "hw:cpu_sockets": "2",
        "hw:cpu_cores": "4",
        "hw:cpu_threads": "1",
    }
    assert "--vcpus 8 --ram 1024 " in flavor_commands(PLAN, host())


def test_kubelet_reserves_on_nodes_what_it_reserves_in_all() -> None:
    """The kubelet's rule: kubeReserved + systemReserved + evictionHard = sum of reservedMemory."""
    share = HostShare(memory=Size(1 << 30))
    found = yaml.safe_load(kubelet_configuration(PLAN, host(), share))
    assert [node["limits"]["memory"] for node in found["reservedMemory"]] == ["1024Mi", "1024Mi"]
    assert found["systemReserved"]["memory"] == "1948Mi"
    assert found["evictionHard"]["memory.available"] == "100Mi"
    assert found["reservedSystemCPUs"] == "0-3,48-51"
    assert found["topologyManagerPolicy"] == "restricted"


def test_ovirt() -> None:
    assert pinning(placement()) == "0#4_1#5_2#6_3#7_4#52_5#53_6#54_7#55"
    root = etree.fromstring(vm(placement()))
    assert root.findtext("memory") == str(1024 * MIB)
    assert [pin.text for pin in root.findall("cpu/cpu_tune/vcpu_pins/vcpu_pin/cpu_set")][4] == "52"
    second = etree.fromstring(f"<all>{numa_nodes(placement())}</all>")[1]
    assert second.findtext("memory") == "512"
    assert second.findtext("numa_node_pins/numa_node_pin/index") == "1"
    assert [core.text for core in second.findall("cpu/cores/core/index")] == ["4", "5", "6", "7"]
