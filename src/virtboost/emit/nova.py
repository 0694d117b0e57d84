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
        guest.pcpus for guest in made.of_kind("guest") if guest.dedicated
    )
    shared = made.shared_pcpus or made.host_pcpus
    lines = ["[compute]", f"cpu_dedicated_set = {dedicated}"]
    if shared:
        lines.append(f"cpu_shared_set = {shared}")
    held = _held(made, host)
    if held:
        lines += ["", "[DEFAULT]", "# huge pages of what Nova does not know of"]
    for (node, size), count in sorted(held.items()):
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
    if placement.dedicated:
        apart = placement.emulator_pcpus.isdisjoint(placement.pcpus | placement.host_pcpus)
        specs["hw:emulator_threads_policy"] = "isolate" if apart else "share"
    told = placement.topology
    if told is not None:
        specs["hw:cpu_sockets"] = str(told.sockets)
        specs["hw:cpu_cores"] = str(told.cores_per_socket)
        specs["hw:cpu_threads"] = str(told.threads)
    return specs


def _page(placement: GuestPlacement, host: Host) -> str:
    size = max(cell.page_size_bytes for cell in placement.cells)
    return str(size >> 10) if size in host.memory.hugepage_sizes_bytes else "small"


def _flavors(made: Plan, host: Host) -> Iterator[tuple[str, Shape]]:
    """Yield each shape once, called after the first guest that has it."""
    seen: set[Shape] = set()
    for guest in made.of_kind("guest"):
        specs = tuple(extra_specs(guest, host).items())
        shape = (len(guest.vcpus), guest.memory_bytes >> 20, specs)
        if shape not in seen:
            seen.add(shape)
            yield guest.name, shape


def _held(made: Plan, host: Host) -> Counter[tuple[int, int]]:
    """Return the huge pages of containers, by node and size."""
    held: Counter[tuple[int, int]] = Counter()
    for container in made.of_kind("container"):
        for cell in container.cells:
            if cell.page_size_bytes in host.memory.hugepage_sizes_bytes:
                held[cell.node_id, cell.page_size_bytes] += cell.pages
    return held
