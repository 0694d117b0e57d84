"""Ways of tunnels as the host knows them by now: entries of the kernel's datapath need them."""

from __future__ import annotations

import subprocess
from collections.abc import Container, Iterable, Mapping, Sequence

from virtboost.errors import InputError, Unreachable
from virtboost.flow.agent.compose import way_line
from virtboost.flow.refusal import Refused
from virtboost.flow.underlay import Underlay, read_underlay

PATIENCE_S = 10

ASK = ("ip", "-force", "-json", "-batch", "-")
"""One process for all questions; ``-force``: those after one that fails are answered too."""


class Ways:
    """Those that were asked for, until the next look."""

    def __init__(self) -> None:
        """Begin without any."""
        self._found: dict[str, Underlay | Refused] = {}

    def look(self, users: Container[str]) -> Mapping[str, int]:
        """Read those that entries use anew; return what entries need of them.

        Args:
            users: What entries need.

        Raises:
            Unreachable: The host does not tell.
        """
        ways = {end: way for end, way in self._found.items() if isinstance(way, Underlay)}
        ends = [end for end, way in ways.items() if way_line(way) in users]
        self._found = read_ways(ends) if ends else {}
        return {way_line(way): 0 for way in self._found.values() if isinstance(way, Underlay)}

    def to(self, end: str) -> Underlay:
        """Return the way to an address.

        Raises:
            Refused: The host knows none.
            Unreachable: It does not tell.
        """
        if end not in self._found:
            self._found |= read_ways([end])
        way = self._found[end]
        if isinstance(way, Refused):
            raise way
        return way


def read_ways(ends: Sequence[str]) -> dict[str, Underlay | Refused]:
    """Return the ways to addresses, or why an entry cannot take one.

    Raises:
        InputError: There is no program that tells.
        Unreachable: It does not answer.
        ParseError: It answers in another form.
    """
    routes, others = _answers(ends)
    return {end: _way(end, routes, others) for end in ends}


def _way(end: str, routes: Iterable[str], others: tuple[str, ...]) -> Underlay | Refused:
    route = next((each for each in routes if f'"dst":"{end}"' in each), None)
    if route is None:
        return Refused(19, end, "the host has no route there")
    try:
        return read_underlay((route, *others))
    except Refused as refused:
        return refused


def _answers(ends: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the routes that there are; and neighbours, links and policies of IPsec."""
    asked = [*(f"route get {end}" for end in ends), "neighbour show", "link show", "xfrm policy"]
    try:
        told = subprocess.run(
            ASK,
            input="\n".join(asked),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        ).stdout.splitlines()
    except OSError as error:
        problem = f"flow run needs ip of iproute2 for tunnels of the kernel: {error.strerror}"
        raise InputError(problem) from None
    except subprocess.TimeoutExpired:
        raise Unreachable("local", f"ip: no answer in {PATIENCE_S} s") from None
    answers = [line for line in told if line.startswith("[")]
    if len(answers) < 2:
        raise Unreachable("local", "ip: it tells neither neighbours nor links")
    policies = "\n".join(line for line in told if not line.startswith("["))
    return answers[:-2], (*answers[-2:], policies)
