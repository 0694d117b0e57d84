"""A plan as Nova has it: the host's CPU sets, and a flavor of each shape with its extra specs.

Nova chooses nodes and pCPUs itself; what it is told is which it may use, and what a guest needs.

Source: https://docs.openstack.org/nova/latest/admin/cpu-topologies.html,
https://docs.openstack.org/nova/latest/configuration/extra-specs.html
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator

from virtboost.model.cpuset import union
from virtboost.model.host import Host
from virtboost.model.placement import GuestPlacement
from virtboost.model.plan import Plan

AGGREGATE_KEY = "hw_architecture"
"""Property of the aggregate that flavors ask for, so that no guest meets a foreign processor."""

Shape = tuple[int, int, tuple[tuple[str, str], ...]]
"""vCPUs, memory in MiB, and extra specs."""


def nova_conf(made: Plan, host: Host) -> str:
    """Return the lines of ``nova.conf`` on the host that leave Nova what the plan leaves it."""
    dedicated = made.free_pcpus | union(
        vcpu.pcpus for guest in _guests(made) if guest.dedicated for vcpu in guest.vcpus
    )
    shared = made.shared_pcpus or made.host_pcpus
    lines = ["[compute]", f"cpu_dedicated_set = {dedicated}"]
    if shared:
        lines.append(f"cpu_shared_set = {shared}")
    huge = host.memory.hugepage_sizes_bytes
    for (node, size), count in sorted(_held(made, host).items()):
        if not lines.count("[DEFAULT]"):
            lines += ["", "[DEFAULT]", "# huge pages of what Nova does not know of"]
        assert size in huge
        lines.append(f"reserved_huge_pages = node:{node},size:{size >> 10},count:{count}")
    return "".join(f"{line}\n" for line in lines)


def flavor_commands(made: Plan, host: Host) -> str:
    """Return ``openstack`` commands: an aggregate of the architecture, a flavor for each shape."""
    arch = host.arch or "x86_64"
    name = host.hostname or "HOST"
    lines: list[tuple[str, ...]] = [
        ("openstack", "aggregate", "create", "--property", f"{AGGREGATE_KEY}={arch}", arch),
        ("openstack", "aggregate", "add", "host", arch, name),
    ]
    for flavor, (vcpus, memory_mib, specs) in _flavors(made, host):
        options = [word for key, value in specs for word in ("--property", f"{key}={value}")]
        size = ("--vcpus", str(vcpus), "--ram", str(memory_mib), "--disk", "0")
        lines.append(("openstack", "flavor", "create", *size, *options, flavor))
    return "".join(f"{shlex.join(line)}\n" for line in lines)


def extra_specs(placement: GuestPlacement, host: Host) -> dict[str, str]:
    """Return the extra specs that ask Nova for a guest of this shape."""
    specs = {
        f"aggregate_instance_extra_specs:{AGGREGATE_KEY}": host.arch or "x86_64",
        "hw:cpu_policy": "dedicated" if placement.dedicated else "shared",
        "hw:numa_nodes": str(len(placement.cells)),
        "hw:mem_page_size": _page(placement, host),
    }
    if len({(len(cell.vcpus), cell.memory_bytes) for cell in placement.cells}) > 1:
        for cell in placement.cells:
            specs[f"hw:numa_cpus.{cell.cell}"] = str(cell.vcpus)
            specs[f"hw:numa_mem.{cell.cell}"] = str(cell.memory_bytes >> 20)
    own = union(vcpu.pcpus for vcpu in placement.vcpus)
    if placement.dedicated:
        apart = placement.emulator_pcpus.isdisjoint(own | placement.host_pcpus)
        specs["hw:emulator_threads_policy"] = "isolate" if apart else "share"
    told = placement.topology
    if told is not None:
        specs["hw:cpu_sockets"] = str(told.sockets)
        specs["hw:cpu_cores"] = str(told.dies * told.clusters * told.cores)
        specs["hw:cpu_threads"] = str(told.threads)
    return specs


def _page(placement: GuestPlacement, host: Host) -> str:
    sizes = {cell.page_size_bytes for cell in placement.cells}
    size = max(sizes)
    return str(size >> 10) if size in host.memory.hugepage_sizes_bytes else "small"


def _guests(made: Plan) -> Iterator[GuestPlacement]:
    return (placed for placed in made.guests if placed.kind == "guest")


def _flavors(made: Plan, host: Host) -> Iterator[tuple[str, Shape]]:
    """Yield each shape once, called after the first guest that has it."""
    seen: set[Shape] = set()
    for guest in _guests(made):
        memory_mib = sum(cell.memory_bytes for cell in guest.cells) >> 20
        shape = (len(guest.vcpus), memory_mib, tuple(extra_specs(guest, host).items()))
        if shape not in seen:
            seen.add(shape)
            yield guest.name, shape


def _held(made: Plan, host: Host) -> Counter[tuple[int, int]]:
    """Return the huge pages of containers, by node and size."""
    held: Counter[tuple[int, int]] = Counter()
    for placed in made.guests:
        for cell in placed.cells if placed.kind == "container" else ():
            if cell.page_size_bytes in host.memory.hugepage_sizes_bytes:
                held[cell.node_id, cell.page_size_bytes] += -(
                    -cell.memory_bytes // cell.page_size_bytes
                )
    return held
