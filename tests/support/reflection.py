"""iBGP with route reflectors, message by message (RFC 4456): what the closed forms must agree with."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from typing import NamedTuple


class Speakers(NamedTuple):
    """Who speaks with whom; of a pair (a, b) in ``clients`` b is a client of the reflector a."""

    nodes: int
    peers: frozenset[tuple[int, int]]
    clients: frozenset[tuple[int, int]]
    cluster: dict[int, int]

    def sessions(self) -> Counter[int]:
        """Return the sessions of each node."""
        return Counter(itertools.chain.from_iterable(self.peers))


class Spread(NamedTuple):
    """What became of one route."""

    messages: int
    paths: dict[int, int]
    """How many copies each node has."""


def mesh(nodes: int) -> Speakers:
    """Return every node speaking with every other."""
    return Speakers(nodes, frozenset(itertools.combinations(range(nodes), 2)), frozenset(), {})


def flat(nodes: int, reflectors: int) -> Speakers:
    """Return the first nodes as reflectors of one cluster, all others their clients."""
    clients = frozenset(itertools.product(range(reflectors), range(reflectors, nodes)))
    peers = clients | frozenset(itertools.combinations(range(reflectors), 2))
    return Speakers(nodes, peers, clients, dict.fromkeys(range(reflectors), 0))


def grouped(nodes: int, groups: int, top: int) -> Speakers:
    """Return a pair of reflectors for each group, in a mesh or below ``top`` others."""
    pairs = [(top + 2 * group, top + 2 * group + 1) for group in range(groups)]
    lower = [reflector for pair in pairs for reflector in pair]
    clients = {
        (reflector, node)
        for node in range(top + len(lower), nodes)
        for reflector in pairs[node % groups]
    }
    clients |= set(itertools.product(range(top), lower)) if top else set()
    peers = clients | set(itertools.combinations(range(top) if top else lower, 2))
    cluster = {reflector: group for group, pair in enumerate(pairs) for reflector in pair}
    cluster |= dict.fromkeys(range(top), groups)
    return Speakers(nodes, frozenset(peers), frozenset(clients), cluster)


def spread(speakers: Speakers, origin: int, *, all_paths: bool = False) -> Spread:
    """Announce one route at a node; each speaker passes on its first copy, as BGP's best path.

    With ``all_paths`` it passes on every copy (RFC 7911).
    """
    neighbours: dict[int, set[int]] = {node: set() for node in range(speakers.nodes)}
    for one, other in speakers.peers:
        neighbours[one].add(other)
        neighbours[other].add(one)
    messages, paths = 0, dict.fromkeys(range(speakers.nodes), 0)
    best = {origin}
    waiting: deque[tuple[int, int, tuple[int, ...]]] = deque([(origin, origin, ())])
    while waiting:
        node, source, clusters = waiting.popleft()
        for neighbour in neighbours[node] - {source}:
            if not _passes(speakers, node, source, neighbour, own=node == origin):
                continue
            messages += 1
            passed = clusters if node == origin else (*clusters, speakers.cluster[node])
            if neighbour == origin or speakers.cluster.get(neighbour) in passed:
                continue
            paths[neighbour] += 1
            if all_paths or neighbour not in best:
                best.add(neighbour)
                waiting.append((neighbour, node, passed))
    return Spread(messages, paths)


def _passes(speakers: Speakers, node: int, source: int, neighbour: int, *, own: bool) -> bool:
    """Tell whether a speaker passes a route on: its own, a client's to all, others' to clients."""
    if own:
        return True
    return (node, source) in speakers.clients or (node, neighbour) in speakers.clients
