"""Hosts that nobody has: a random topology, the sysfs files that Linux would write of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from hypothesis import strategies as st

CPU = "/sys/devices/system/cpu"
NODE = "/sys/devices/system/node"

Told = Literal["told", "-1", "65535", "missing"]
"""How the kernel speaks of a level: with ids, as unknown (arm64, x86), or not at all (old ones)."""


class Place(NamedTuple):
    """Where one CPU is.  A level's number is its place in the machine, not the kernel's id."""

    socket: int
    die: int
    cluster: int
    core: int


class Machine(NamedTuple):
    """A host: what it is made of, and how its kernel tells it."""

    places: dict[int, Place]
    """Every present CPU."""
    offline: frozenset[int]
    stale: bool
    """Whether masks still have the offline CPUs."""
    socket_ids: tuple[int, ...]
    die_ids: tuple[int, ...]
    """By number of the die in the machine; unique in a socket."""
    cluster_ids: tuple[int, ...]
    dies: Told
    clusters: Told
    node_of_die: tuple[int, ...] | None
    """Number of the node by number of the die; None: a node for each half of a die."""
    node_ids: tuple[int, ...]
    """Ids of the nodes by number; more than the CPUs need are nodes of memory only."""
    memory_kib: tuple[int, ...]
    """Memory of each node; 0 for none."""
    distances: dict[tuple[int, int], int]

    @property
    def online(self) -> list[int]:
        """CPUs that run."""
        return sorted(set(self.places) - self.offline)

    def groups(self, level: str, *, stale: bool = False) -> dict[int, set[int]]:
        """Return the online CPUs by the number of their socket, die, cluster or core."""
        groups: dict[int, set[int]] = {}
        for cpu in self.places if stale else self.online:
            groups.setdefault(getattr(self.places[cpu], level), set()).add(cpu)
        return groups

    def node(self, cpu: int) -> int:
        """Return the number of a CPU's node."""
        die = self.places[cpu].die
        if self.node_of_die is not None:
            return self.node_of_die[die]
        mates = sorted(other for other, place in self.places.items() if place.die == die)
        return 2 * die + (mates.index(cpu) >= len(mates) / 2)

    def nodes(self) -> dict[int, set[int]]:
        """Return the online CPUs of each node, by the node's number."""
        nodes: dict[int, set[int]] = {number: set() for number in range(len(self.node_ids))}
        for cpu in self.online:
            nodes[self.node(cpu)].add(cpu)
        return nodes


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """Draw a machine of up to 96 CPUs."""
    dies_of = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    clusters_of = [draw(st.integers(1, 3)) for _ in range(sum(dies_of))]
    cores_of = [draw(st.integers(1, 4)) for _ in range(sum(clusters_of))]
    places = _places(dies_of, clusters_of, cores_of, threads=draw(st.integers(1, 2)))
    numbers = draw(st.permutations(range(len(places))))
    node_of_die = draw(_nodes_of_dies(dies_of))
    used = 2 * sum(dies_of) if node_of_die is None else max(node_of_die) + 1
    count = used + draw(st.integers(0, 2))
    sizes = st.one_of(st.just(0), st.integers(1, 1 << 32))
    return Machine(
        places=dict(sorted(zip(numbers, places, strict=True))),
        offline=draw(st.frozensets(st.sampled_from(numbers), max_size=len(numbers) - 1)),
        stale=draw(st.booleans()),
        socket_ids=draw(_ids(len(dies_of), 9000)),
        die_ids=tuple(number for dies in dies_of for number in draw(_ids(dies, 99))),
        cluster_ids=draw(_ids(len(cores_of), 60000)),
        dies=draw(st.sampled_from(("told", "-1", "missing"))),
        clusters=draw(st.sampled_from(("told", "-1", "65535", "missing"))),
        node_of_die=node_of_die,
        node_ids=tuple(sorted(draw(_ids(count, 300)))),
        memory_kib=draw(st.tuples(*[sizes] * count)),
        distances=draw(_distances(count)),
    )


def _places(
    dies_of: list[int], clusters_of: list[int], cores_of: list[int], threads: int
) -> list[Place]:
    socket_of = [socket for socket, dies in enumerate(dies_of) for _ in range(dies)]
    die_of = [die for die, clusters in enumerate(clusters_of) for _ in range(clusters)]
    cluster_of = [cluster for cluster, cores in enumerate(cores_of) for _ in range(cores)]
    return [
        Place(socket_of[die_of[cluster]], die_of[cluster], cluster, core)
        for core, cluster in enumerate(cluster_of)
        for _ in range(threads)
    ]


def _ids(count: int, largest: int) -> st.SearchStrategy[tuple[int, ...]]:
    numbers = st.lists(st.integers(0, largest), min_size=count, max_size=count, unique=True)
    return numbers.map(tuple)


def _nodes_of_dies(dies_of: list[int]) -> st.SearchStrategy[tuple[int, ...] | None]:
    """A node for each die, for each socket, or for everything, or two for a die (None)."""
    by_socket = tuple(socket for socket, dies in enumerate(dies_of) for _ in range(dies))
    return st.sampled_from((tuple(range(len(by_socket))), by_socket, (0,) * len(by_socket), None))


@st.composite
def _distances(draw: st.DrawFn, count: int) -> dict[tuple[int, int], int]:
    distances = {(node, node): 10 for node in range(count)}
    for row in range(count):
        for column in range(row):
            distances[row, column] = distances[column, row] = draw(st.integers(11, 254))
    return distances


def files(machine: Machine) -> dict[str, str]:
    """Return what Linux writes of a machine, by path."""
    texts = {
        f"{CPU}/online": _list(machine.online),
        f"{CPU}/present": _list(machine.places),
        f"{CPU}/possible": _list(machine.places),
    }
    for cpu in machine.online:
        for name, text in _topology(machine, cpu):
            texts[f"{CPU}/cpu{cpu}/topology/{name}"] = text
        for index, (kind, level, size, sharers) in enumerate(_caches(machine, cpu)):
            base = f"{CPU}/cpu{cpu}/cache/index{index}"
            texts[f"{base}/type"] = kind
            texts[f"{base}/level"] = str(level)
            texts[f"{base}/size"] = size
            texts[f"{base}/shared_cpu_map"] = _mask(sharers)
    texts.update(_node_files(machine))
    return texts


def _topology(machine: Machine, cpu: int) -> Iterator[tuple[str, str]]:
    place = machine.places[cpu]
    yield "physical_package_id", str(machine.socket_ids[place.socket])
    yield "core_id", str(3 * place.core)
    yield "core_siblings", _mask(machine.groups("socket", stale=machine.stale)[place.socket])
    yield "thread_siblings", _mask(machine.groups("core", stale=machine.stale)[place.core])
    for level, told, ids in (
        ("die", machine.dies, machine.die_ids),
        ("cluster", machine.clusters, machine.cluster_ids),
    ):
        number: int = getattr(place, level)
        if told == "told":
            yield f"{level}_id", str(ids[number])
            yield f"{level}_cpus", _mask(machine.groups(level, stale=machine.stale)[number])
        elif told != "missing":
            yield f"{level}_id", told
            yield f"{level}_cpus", _mask({cpu})


def _caches(machine: Machine, cpu: int) -> Iterator[tuple[str, int, str, set[int]]]:
    place = machine.places[cpu]
    core = machine.groups("core", stale=machine.stale)[place.core]
    yield "Data", 1, "64K", core
    yield "Instruction", 1, "48K", core
    yield "Unified", 2, "512K", machine.groups("cluster", stale=machine.stale)[place.cluster]
    yield "Unified", 3, "32768K", machine.groups("die", stale=machine.stale)[place.die]


def _node_files(machine: Machine) -> Iterator[tuple[str, str]]:
    yield f"{NODE}/online", _list(machine.node_ids)
    numbers = range(len(machine.node_ids))
    for number, cpus in machine.nodes().items():
        base = f"{NODE}/node{machine.node_ids[number]}"
        row = (machine.distances[number, column] for column in numbers)
        yield f"{base}/cpumap", _mask(cpus)
        yield f"{base}/distance", " ".join(map(str, row))
        kib = machine.memory_kib[number]
        node = machine.node_ids[number]
        yield f"{base}/meminfo", f"Node {node} MemTotal: {kib:14} kB\nNode {node} MemFree: 0 kB"


def _list(cpus: Iterable[int]) -> str:
    """Write a cpulist of single numbers."""
    return ",".join(map(str, sorted(cpus)))


def _mask(cpus: set[int]) -> str:
    """Write a cpumask as the kernel does: words of 8 digits, most significant first."""
    words = range(max(cpus, default=0) // 32, -1, -1)
    return ",".join(f"{sum(1 << cpu % 32 for cpu in cpus if cpu // 32 == w):08x}" for w in words)
