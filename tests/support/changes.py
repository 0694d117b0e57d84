"""Changes to a host carried out on its model, as if it had been scanned again afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import reduce
from typing import Any

import msgspec

from virtboost.model import change
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.guest import Guest, GuestTopology
from virtboost.model.host import Host

replace = msgspec.structs.replace


def each(parts: tuple[Any, ...], key: str, value: object, **fields: Any) -> tuple[Any, ...]:
    """Return ``parts`` with the fields of the one whose ``key`` is ``value`` replaced."""
    assert any(getattr(part, key) == value for part in parts), f"nothing has {key} {value}"
    return tuple(replace(p, **fields) if getattr(p, key) == value else p for p in parts)


def sysctl(host: Host, made: change.Sysctl) -> Host:
    sysctls = {**host.kernel.sysctls, made.name: made.value}
    return replace(host, kernel=replace(host.kernel, sysctls=sysctls))


def argument(host: Host, made: change.KernelArgument) -> Host:
    words = (host.kernel.command_line or "").split()
    kept = [word for word in words if word.partition("=")[0] != made.name]
    if made.value is not None:
        kept.append(f"{made.name}={made.value}" if made.value else made.name)
    host = replace(host, kernel=replace(host.kernel, command_line=" ".join(kept)))
    module, dot, name = made.name.replace("-", "_").partition(".")
    if not dot or module not in host.kernel.module_parameters:
        return host
    # At the next boot, module.parameter=value is the parameter's value.
    return parameter(host, change.ModuleParameter(module=module, name=name, value=made.value or ""))


def parameter(host: Host, made: change.ModuleParameter) -> Host:
    modules = host.kernel.module_parameters
    changed = {**modules, made.module: {**modules.get(made.module, {}), made.name: made.value}}
    return replace(host, kernel=replace(host.kernel, module_parameters=changed))


def thp(host: Host, made: change.TransparentHugepages) -> Host:
    return replace(host, memory=replace(host.memory, **{f"thp_{made.setting}": made.value}))


def ksm(host: Host, made: change.Ksm) -> Host:
    return replace(host, memory=replace(host.memory, **{f"ksm_{made.setting}": made.value}))


def governor(host: Host, made: change.Governor) -> Host:
    others = {name: cpus - made.cpus for name, cpus in host.power.governors.items()}
    others[made.governor] = others.get(made.governor, CpuSet()) | made.cpus
    kept = {name: cpus for name, cpus in others.items() if cpus}
    return replace(host, power=replace(host.power, governors=kept))


def pool(host: Host, made: change.HugepagePoolSize) -> Host:
    nodes = host.topology.numa_nodes
    pools = next(node for node in nodes if node.id == made.node_id).hugepages
    old = next(pool for pool in pools if pool.size_bytes == made.size_bytes)
    more = made.pages - old.total
    pools = each(pools, "size_bytes", made.size_bytes, total=made.pages, free=old.free + more)
    nodes = each(nodes, "id", made.node_id, hugepages=pools)
    return replace(host, topology=replace(host.topology, numa_nodes=nodes))


def affinity(host: Host, made: change.IrqAffinity) -> Host:
    first = CpuSet([made.cpus.first])
    irqs = each(host.irq, "number", made.irq, affinity=made.cpus, effective_affinity=first)
    return replace(host, irq=irqs)


def channels(host: Host, made: change.NicChannels) -> Host:
    nic = next(nic for nic in host.net if nic.name == made.interface)
    assert nic.channels is not None
    new = replace(nic.channels, combined=made.combined)
    return replace(host, net=each(host.net, "name", made.interface, channels=new))


def steering(host: Host, made: change.NicSteering) -> Host:
    nic = next(nic for nic in host.net if nic.name == made.interface)
    field = "rps_cpus" if made.queue.startswith("rx-") else "xps_cpus"
    masks = {**getattr(nic, field), made.queue: made.cpus}
    return replace(host, net=each(host.net, "name", made.interface, **{field: masks}))


def service(host: Host, made: change.ServiceState) -> Host:
    fields = {"active": made.active, "enabled": made.enabled}
    return replace(host, services=each(host.services, "name", made.name, **fields))


def file(host: Host, made: change.KernelFile) -> Host:
    if match := re.fullmatch(r"/sys/devices/system/cpu/cpu(\d+)/online", made.path):
        cpu, topology = CpuSet([int(match[1])]), host.topology
        online, offline = topology.online | cpu, topology.offline - cpu
        return replace(host, topology=replace(topology, online=online, offline=offline))
    if match := re.fullmatch(r".*/cpu(\d+)/cpuidle/state(\d+)/disable", made.path):
        states = list(host.power.idle_states)
        state = states[int(match[2])]
        disabled = union((state.disabled_cpus, CpuSet([int(match[1])])))
        states[int(match[2])] = replace(state, disabled_cpus=disabled)
        return replace(host, power=replace(host.power, idle_states=tuple(states)))
    match = re.fullmatch(r"/sys/block/(.+)/queue/scheduler", made.path)
    assert match, f"{made.path}: no item was known to change this"
    disk = next(d for d in host.block if match[1] in (d.paths or (d.name,)))
    return replace(host, block=each(host.block, "name", disk.name, scheduler=made.value))


def of_guest(host: Host, name: str, **fields: Any) -> Host:
    return replace(host, guests=each(host.guests, "name", name, **fields))


def guest(host: Host, name: str) -> Guest:
    return next(guest for guest in host.guests if guest.name == name)


def vcpu_pin(host: Host, made: change.GuestVcpuPin) -> Host:
    pins = {**guest(host, made.guest).vcpu_pins, made.vcpu: made.cpus}
    return of_guest(host, made.guest, vcpu_pins=pins)


def iothread_pin(host: Host, made: change.GuestIothreadPin) -> Host:
    pins = {**guest(host, made.guest).iothread_pins, made.iothread: made.cpus}
    return of_guest(host, made.guest, iothread_pins=pins)


def told_topology(host: Host, made: change.GuestTopologyEdit) -> Host:
    levels = ("sockets", "dies", "clusters", "cores", "threads")
    told = GuestTopology(**{level: getattr(made, level) for level in levels})
    return of_guest(host, made.guest, topology=told)


def container(host: Host, made: change.ContainerUpdate) -> Host:
    fields = {"cpuset": made.cpuset, "node_ids": made.node_ids}
    given = {name: value for name, value in fields.items() if value is not None}
    return replace(host, containers=each(host.containers, "name", made.container, **given))


def other_config(host: Host, made: change.OvsOtherConfig) -> Host:
    assert host.ovs is not None and made.value is not None
    keys = {**host.ovs.other_config, made.key: made.value}
    return replace(host, ovs=replace(host.ovs, other_config=keys))


CARRY_OUT: dict[type, Any] = {
    change.Sysctl: sysctl,
    change.KernelArgument: argument,
    change.ModuleParameter: parameter,
    change.TransparentHugepages: thp,
    change.Ksm: ksm,
    change.Governor: governor,
    change.HugepagePoolSize: pool,
    change.IrqAffinity: affinity,
    change.NicChannels: channels,
    change.NicSteering: steering,
    change.ServiceState: service,
    change.KernelFile: file,
    change.GuestVcpuPin: vcpu_pin,
    change.GuestEmulatorPin: lambda h, m: of_guest(h, m.guest, emulator_pins=m.cpus),
    change.GuestIothreadPin: iothread_pin,
    change.GuestMemoryPolicy: lambda h, m: of_guest(
        h, m.guest, memory_mode=m.mode, node_ids=m.node_ids
    ),
    change.GuestMemoryBacking: lambda h, m: of_guest(
        h, m.guest, page_sizes_bytes=(m.page_size_bytes,)
    ),
    change.GuestTopologyEdit: told_topology,
    change.ContainerUpdate: container,
    change.OvsOtherConfig: other_config,
}
"""How each kind of change shows in the model."""


def carried_out(host: Host, changes: Iterable[change.Change]) -> Host:
    """Return the host with all of these made, one after the other."""
    return reduce(lambda before, made: CARRY_OUT[type(made)](before, made), changes, host)
