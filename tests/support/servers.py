"""Whole servers of a regular shape, as documents, for tests that need one of real size."""

from __future__ import annotations

import json
from typing import Any

from virtboost.model.document import from_json
from virtboost.model.host import Host

GIB = 1 << 30

Document = dict[str, Any]


def kunpeng_920(**parts: Any) -> Host:
    """Return a TaiShan 200 with two Kunpeng 920 5250: 4 nodes of 24 pCPUs, CPU clusters of 4."""
    pages = [{"size_bytes": 2 << 20, "total": 45056, "free": 8192}]
    return _host(
        {
            "hostname": "kp",
            "arch": "aarch64",
            "cpu": {"implementer": "0x48", "part": "0xd01", "generation": "Kunpeng 920"},
            "topology": _topology(nodes=4, sockets=2, per_node=24, cluster=4, pages=pages),
            "memory": _memory(384, [65536, 2 << 20, 32 << 20, GIB]),
        },
        parts,
    )


def xeon(**parts: Any) -> Host:
    """Return an x86 server: 2 nodes of 16 cores with 2 pCPUs each, siblings 32 apart."""
    topology = _topology(nodes=2, sockets=2, per_node=16, cluster=0, pages=[])
    topology["online"] = "0-63"
    for key in ("sockets", "dies", "caches", "numa_nodes"):
        for part in topology[key]:
            first = int(part["cpus"].partition("-")[0])
            part["cpus"] = f"{first}-{first + 15},{first + 32}-{first + 47}"
    for core in topology["cores"]:
        core["cpus"] += f",{int(core['cpus']) + 32}"
    return _host(
        {
            "hostname": "xeon",
            "arch": "x86_64",
            "cpu": {"vendor": "GenuineIntel", "model": "Xeon", "flags": ["aes", "avx2"]},
            "topology": topology,
            "memory": _memory(192, [2 << 20, GIB]),
        },
        parts,
    )


def _host(base: Document, parts: Document) -> Host:
    document = {"schema": "virtboost.host/1", "kernel": {"command_line": "quiet"}, **base}
    document["topology"] |= parts.pop("topology", {})
    return from_json(json.dumps(document | parts), Host, "server")


def _memory(total_gib: int, sizes: list[int]) -> Document:
    return {
        "total_bytes": total_gib * GIB,
        "available_bytes": total_gib * GIB // 2,
        "swap_bytes": 0,
        "page_size_bytes": 4096,
        "hugepage_sizes_bytes": sizes,
        "default_hugepage_bytes": 2 << 20,
        "thp_enabled": "madvise",
    }


def _topology(
    *, nodes: int, sockets: int, per_node: int, cluster: int, pages: list[Document]
) -> Document:
    per_socket = per_node * nodes // sockets
    count = nodes * per_node

    def ranges(size: int) -> list[tuple[int, str]]:
        firsts = range(0, count, size) if size else ()
        return [(first // per_socket, f"{first}-{first + size - 1}") for first in firsts]

    distances = {i: {j: 10 + 2 * abs(i - j) for j in range(nodes)} for i in range(nodes)}
    return {
        "online": f"0-{count - 1}",
        "offline": "",
        "isolated": "",
        "nohz_full": "",
        "sockets": [
            {
                "id": i,
                "cpus": cpus,
                "node_ids": list(range(i * nodes // sockets, (i + 1) * nodes // sockets)),
            }
            for i, cpus in ranges(per_socket)
        ],
        "dies": [
            {"id": i, "socket_id": s, "cpus": cpus} for i, (s, cpus) in enumerate(ranges(per_node))
        ],
        "clusters": [
            {"id": i, "socket_id": s, "cpus": cpus, "inferred": False}
            for i, (s, cpus) in enumerate(ranges(cluster))
        ],
        "cores": [{"id": i, "socket_id": i // per_socket, "cpus": str(i)} for i in range(count)],
        "caches": [
            {"level": 3, "type": "Unified", "size_bytes": 24 << 20, "cpus": cpus}
            for _, cpus in ranges(per_node)
        ],
        "numa_nodes": [
            {
                "id": i,
                "cpus": cpus,
                "memory_bytes": 96 * GIB,
                "free_bytes": 20 * GIB,
                "distances": distances[i],
                "hugepages": pages,
            }
            for i, (_, cpus) in enumerate(ranges(per_node))
        ],
    }


def guest(name: str, vcpus: int, **parts: Any) -> Document:
    """Return a running guest of 4 GiB without pins."""
    return {
        "name": name,
        "state": "running",
        "arch": "aarch64",
        "machine": "virt-8.2",
        "accelerated": True,
        "vcpu_count": vcpus,
        "max_vcpu_count": vcpus,
        "vcpu_pins": {},
        "memory_bytes": 4 * GIB,
        "current_memory_bytes": 4 * GIB,
        "cpu_mode": "host-passthrough",
        "gic_version": "3",
        "balloon": "virtio",
        **parts,
    }


def pins(first: int, count: int) -> dict[str, str]:
    """Return pins of ``count`` vCPUs to the pCPUs from ``first`` on."""
    return {str(vcpu): str(first + vcpu) for vcpu in range(count)}
