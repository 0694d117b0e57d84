"""Items on the kubelet: its managers of CPUs, memory and topology."""

from __future__ import annotations

import re

from virtboost.catalogue.commands import kubelet_setting
from virtboost.catalogue.conditions import NUMA, proxied_by_tap, runs_tap
from virtboost.catalogue.item import (
    NO_FIGURE,
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
    KUBERNETES_CGROUPS,
    KUBERNETES_CPUS,
    KUBERNETES_MEMORY,
    KUBERNETES_TOPOLOGY,
    TAP,
)
from virtboost.catalogue.wanted import Wanted, whole_number
from virtboost.model.agent import Agent
from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.model.wording import listed

PLATFORMS: tuple[Platform, ...] = ("kubernetes",)

KUBELETS: Subjects[Agent] = Subjects(
    kind="agent",
    select=lambda host: [(agent.name, agent) for agent in host.agents if agent.name == "kubelet"],
    none="there is no kubelet",
    gap="agents",
)

FLAGS = {
    "cpuManagerPolicy": "--cpu-manager-policy",
    "topologyManagerPolicy": "--topology-manager-policy",
    "memoryManagerPolicy": "--memory-manager-policy",
    "reservedSystemCPUs": "--reserved-cpus",
    "cgroupDriver": "--cgroup-driver",
}
"""Command-line flags of the keys that are looked at; a flag goes before the file."""

MORE_NODES = "topologyManagerPolicyOptions.max-allowable-numa-nodes"

MOST_NODES = 8
"""NUMA nodes that the topology manager takes without ``max-allowable-numa-nodes`` (KEP-4622)."""


def setting(agent: Agent, key: str) -> str | None:
    """Return a setting of the kubelet, from a flag or from its configuration."""
    return agent.options.get(FLAGS[key]) or agent.options.get(key)


def _policy(agent: Agent, key: str) -> str:
    return (setting(agent, key) or "none").lower()


TAP_PLACES = "Kunpeng TAP places pods here; see kubelet.tap"


def _cpu_manager(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    if runs_tap(host):
        return NotApplicable(TAP_PLACES)
    policy = _policy(agent, "cpuManagerPolicy")
    if wanted.accepts(policy):
        return Ok(policy)
    return Wrong(
        found=policy,
        wanted=wanted.text,
        reason="all pods float over all pCPUs and nodes, guaranteed ones too",
    )


def _reserved_cpus(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    if _policy(agent, "cpuManagerPolicy") != "static":
        return NotApplicable("the CPU manager gives no pCPUs away")
    text = setting(agent, "reservedSystemCPUs")
    if not text:
        return _reserved_amount(agent)
    try:
        reserved = CpuSet.parse(text)
    except ValueError as error:
        return Unknown(f"reservedSystemCPUs: {error}")
    absent = reserved - host.topology.online
    cores = [core.cpus for core in host.topology.cores_of(reserved)]
    halves = [cpus for cpus in cores if not cpus <= reserved]
    if not absent and not halves:
        return Ok(f"pCPUs {reserved}")
    return Wrong(
        found=f"pCPUs {reserved}, of which {absent} are not online"
        if absent
        else f"pCPUs {reserved}, half of cores {listed(str(cpus) for cpus in halves)}",
        wanted="whole cores that are online",
        reason="the kubelet does not start with pCPUs that are not there"
        if absent
        else "a pod gets the sibling of a pCPU that the host works on",
    )


def _reserved_amount(agent: Agent) -> Outcome:
    keys = ("kubeReserved.cpu", "systemReserved.cpu", "--kube-reserved", "--system-reserved")
    given = [f"{key}={agent.options[key]}" for key in keys if "cpu" in _text(agent, key)]
    if given:
        return Ok(listed(given))
    return Wrong(
        found="static CPU manager, and no pCPU reserved",
        wanted="reservedSystemCPUs",
        reason="the kubelet does not start: it must keep something for the shared pool",
    )


def _text(agent: Agent, key: str) -> str:
    value = agent.options.get(key)
    return "" if not value else f"{key}={value}"


def _topology_manager(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    if runs_tap(host):
        return NotApplicable(TAP_PLACES)
    policy = _policy(agent, "topologyManagerPolicy")
    nodes = len(host.topology.numa_nodes)
    limit = whole_number(agent.options.get(MORE_NODES)) or MOST_NODES
    if policy != "none" and nodes > limit:
        return Wrong(
            found=f"{policy} on {nodes} NUMA nodes",
            wanted=f"max-allowable-numa-nodes {nodes}",
            reason=f"the kubelet refuses a topology manager on more than {limit} nodes",
        )
    if _policy(agent, "cpuManagerPolicy") != "static":
        return NotApplicable("without the static CPU manager it has nothing to align")
    if wanted.accepts(policy):
        return Ok(policy)
    return Wrong(
        found=policy,
        wanted=wanted.text,
        reason="CPUs, devices and memory of a pod are chosen one by one, each on its own node",
    )


def _tap_policy(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    if not runs_tap(host):
        return NotApplicable("neither the kubelet's endpoint nor a process is Kunpeng TAP's")
    policy = _policy(agent, "topologyManagerPolicy")
    if not wanted.accepts(policy):
        return Wrong(
            found=f"TAP, and topology manager {policy}",
            wanted=wanted.text,
            reason="both choose NUMA nodes: the kubelet refuses pods that TAP has room for",
        )
    return Ok(f"TAP, topology manager {policy}") if proxied_by_tap(agent) else _nri(host)


_NRI_SINCE = (1, 7)


def _nri(host: Host) -> Outcome:
    versions = [engine.version for engine in host.engines if engine.name == "containerd"]
    match = re.match(r"v?(\d{1,4})\.(\d{1,4})", (versions[0] or "") if versions else "")
    if match is None:
        return Unknown("the version of containerd, which must have NRI")
    if (int(match[1]), int(match[2])) >= _NRI_SINCE:
        return Ok(f"TAP as an NRI plugin of containerd {versions[0]}")
    return Wrong(
        found=f"TAP beside containerd {versions[0]}",
        wanted="containerd 1.7 or later",
        reason="NRI came with containerd 1.7: the plugin is never asked",
    )


def _memory_manager(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    if runs_tap(host):
        return NotApplicable(TAP_PLACES)
    if _policy(agent, "cpuManagerPolicy") != "static":
        return NotApplicable("the CPU manager pins no pods, so their memory has no node")
    policy = setting(agent, "memoryManagerPolicy") or "None"
    if wanted.accepts(policy):
        return Ok(policy)
    return Wrong(
        found=policy,
        wanted=wanted.text,
        reason="pods have pCPUs of one node and memory, huge pages included, of any",
    )


def _hugepages(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    pools = {
        node.id: sum(pool.total * pool.size_bytes for pool in node.hugepages)
        for node in host.topology.numa_nodes
        if node.cpus and node.hugepages
    }
    if not pools:
        return Unknown("the pools of huge pages")
    if not any(pools.values()):
        return NotApplicable("no huge pages are set aside")
    if _policy(agent, "topologyManagerPolicy") == "none":
        return NotApplicable("the topology manager aligns no huge pages")
    empty = [str(node_id) for node_id, total in pools.items() if not total]
    if not empty:
        return Ok("huge pages on each NUMA node")
    return Wrong(
        found=f"no huge pages on nodes {listed(empty)}",
        wanted="huge pages on each node",
        reason="a pod with huge pages is aligned to the other nodes only: it is refused while "
        "these have room",
    )


def _cgroup_driver(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    driver = setting(agent, "cgroupDriver")
    engines = {e.name: e.cgroup_driver for e in host.engines if e.cgroup_driver is not None}
    if driver is None:
        return Unknown("the kubelet's cgroup driver: not set, newer ones ask the runtime")
    if not engines:
        return NotApplicable("no engine tells its cgroup driver")
    other = {name: its for name, its in engines.items() if its != driver}
    if not other:
        return Ok(driver)
    return Wrong(
        found=f"kubelet {driver}, " + ", ".join(f"{name} {its}" for name, its in other.items()),
        wanted="the same for both",
        reason="the kubelet does not start pods in groups that the runtime manages another way",
    )


UNEDIT = kubelet_setting("the line from before")

NEW_STATE = (
    "# the kubelet keeps its old state unless it is removed while it is stopped:\n"
    "systemctl stop kubelet; rm /var/lib/kubelet/cpu_manager_state; systemctl start kubelet"
)

ITEMS = (
    Item(
        id="kubelet.cpu_manager",
        title="The CPU manager gives guaranteed pods pCPUs of their own",
        layer="cluster",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="service restart",
        risk="drain the node first; pods that burst find a smaller shared pool",
        effect=NO_FIGURE,
        why=(
            "The static policy helps guaranteed pods with whole CPUs, and only those. A node that "
            "runs burstable pods on purpose overcommits and gains nothing; Kunpeng TAP is made for "
            "that case."
        ),
        sources=(KUBERNETES_CPUS,),
        by_hand=f"# in /var/lib/kubelet/config.yaml: cpuManagerPolicy: static\n{NEW_STATE}",
        undo_by_hand=f"# in /var/lib/kubelet/config.yaml: cpuManagerPolicy: none\n{NEW_STATE}",
        conflicts=("kubelet.tap",),
        applies=(NUMA,),
        subjects=KUBELETS,
        wanted=Wanted("static"),
        judge=_cpu_manager,
    ),
    Item(
        id="kubelet.reserved_cpus",
        title="The static CPU manager keeps whole cores for the host",
        layer="cluster",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="service restart",
        risk="fewer pCPUs for pods; drain the node first",
        effect=NO_FIGURE,
        why=(
            "The kubelet demands a reservation with the static policy. reservedSystemCPUs says "
            "which pCPUs they are, so that interrupts and agents can be put there; an amount alone "
            "takes the first cores. Half a core leaves the other half to a pod."
        ),
        sources=(KUBERNETES_CPUS,),
        by_hand=f'# in /var/lib/kubelet/config.yaml: reservedSystemCPUs: "0-3"\n{NEW_STATE}',
        undo_by_hand=UNEDIT,
        subjects=KUBELETS,
        judge=_reserved_cpus,
    ),
    Item(
        id="kubelet.topology_manager",
        title="The topology manager aligns pods with pCPUs of their own",
        layer="cluster",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="service restart",
        risk="single-numa-node refuses pods after they were scheduled to the node",
        effect=NO_FIGURE,
        why=(
            "best-effort aligns where it can and refuses nothing; restricted and single-numa-node "
            "refuse, and the scheduler does not know why (kubernetes issue 84869). With Kunpeng "
            "TAP the policy must be none: see kubelet.tap."
        ),
        sources=(KUBERNETES_TOPOLOGY,),
        by_hand=kubelet_setting("topologyManagerPolicy: best-effort"),
        undo_by_hand=UNEDIT,
        conflicts=("kubelet.tap",),
        applies=(NUMA,),
        subjects=KUBELETS,
        wanted=Wanted("best-effort | restricted | single-numa-node"),
        judge=_topology_manager,
    ),
    Item(
        id="kubelet.tap",
        title="Kunpeng TAP works without the kubelet's topology manager",
        layer="cluster",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="service restart",
        risk="pods that TAP does not place (best effort) are aligned by nobody",
        effect=NO_FIGURE,
        why=(
            "TAP sits between kubelet and runtime and keeps burstable pods on a NUMA node as well. "
            "The topology manager answers earlier and knows nothing of it, so its policy must be "
            "none. As an NRI plugin, TAP needs containerd 1.7. TAP is found by the kubelet's "
            "runtime endpoint or by its own process or container."
        ),
        sources=(TAP,),
        by_hand=kubelet_setting("topologyManagerPolicy: none"),
        undo_by_hand=UNEDIT,
        conflicts=("kubelet.cpu_manager", "kubelet.memory_manager", "kubelet.topology_manager"),
        rule="R13",
        subjects=KUBELETS,
        wanted=Wanted("none"),
        judge=_tap_policy,
    ),
    Item(
        id="kubelet.memory_manager",
        title="The memory manager takes a pod's memory from the node of its pCPUs",
        layer="cluster",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="service restart",
        risk="reservedMemory must add up to what is reserved, or the kubelet does not start",
        effect=NO_FIGURE,
        why=(
            "The CPU manager sets cpuset.cpus and nobody sets cpuset.mems: the kernel's first "
            "touch decides. Static adds memory and huge pages to what the topology manager "
            "aligns, for guaranteed pods."
        ),
        sources=(KUBERNETES_MEMORY,),
        by_hand=(
            "# in /var/lib/kubelet/config.yaml: memoryManagerPolicy: Static, and reservedMemory\n"
            "systemctl stop kubelet; rm /var/lib/kubelet/memory_manager_state; "
            "systemctl start kubelet"
        ),
        undo_by_hand=UNEDIT,
        conflicts=("kubelet.tap",),
        applies=(NUMA,),
        subjects=KUBELETS,
        wanted=Wanted("Static"),
        judge=_memory_manager,
    ),
    Item(
        id="kubelet.hugepages",
        title="Huge pages on each NUMA node that takes pods",
        layer="cluster",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="service restart",
        risk="the pages are taken from other pods",
        effect=NO_FIGURE,
        why=(
            "A pool that was filled on one node (by a runtime write, or by a kernel argument with "
            "a node) serves pods of that node only. The kubelet counts huge pages when it starts, "
            "so restart it after a change. Nodes that are kept for other work are no mistake."
        ),
        sources=(KUBERNETES_MEMORY,),
        by_hand=(
            "echo COUNT > /sys/devices/system/node/nodeN/hugepages/hugepages-2048kB/nr_hugepages\n"
            "systemctl restart kubelet"
        ),
        undo_by_hand=(
            "echo 0 > /sys/devices/system/node/nodeN/hugepages/hugepages-2048kB/nr_hugepages"
        ),
        applies=(NUMA,),
        subjects=KUBELETS,
        judge=_hugepages,
    ),
    Item(
        id="kubelet.cgroup_driver",
        title="kubelet and container engine have the same cgroup driver",
        layer="cluster",
        platforms=PLATFORMS,
        severity="critical",
        takes_effect="service restart",
        risk="all pods of the node restart: drain it first",
        effect=NO_FIGURE,
        why=(
            "With different drivers, the kubelet fails or crash-loops. systemd is the one to "
            "choose on hosts that run it. Engines that are there and serve no pods do not matter: "
            "switch the item off for them."
        ),
        sources=(KUBERNETES_CGROUPS,),
        by_hand=kubelet_setting("cgroupDriver: systemd"),
        undo_by_hand=UNEDIT,
        subjects=KUBELETS,
        judge=_cgroup_driver,
    ),
)
