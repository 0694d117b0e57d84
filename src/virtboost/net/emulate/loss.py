"""Packets that kernels dropped, as they count them: reasons not to trust what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from virtboost.net.emulate.outcome import Losses
from virtboost.net.emulate.space import inside

OWN = Path("/proc/thread-self/net")
"""Of the namespace that this thread is in."""

DEVICE_DROPS = (3, 11)
"""Of a line of ``dev`` after the name: received, sent (``net/core/net-procfs.c``)."""

BACKLOG_DROPS = 1
"""Of a line of ``softnet_stat``, in hexadecimal: packets beyond ``netdev_max_backlog``."""


def losses(places: Iterable[int]) -> Losses:
    """Return what was dropped so far, in this namespace and those of speakers."""
    links, sockets = _links(), 0
    for place in places:
        with inside(place):
            links += _links()
            sockets += _sockets()
    rows = (OWN / "softnet_stat").read_text().splitlines()
    backlog = sum(int(row.split()[BACKLOG_DROPS], 16) for row in rows)
    return Losses(links=links, sockets=sockets, backlog=backlog)


def _links() -> int:
    rows = [line.partition(":")[2].split() for line in (OWN / "dev").read_text().splitlines()[2:]]
    return sum(int(row[column]) for row in rows for column in DEVICE_DROPS)


def _sockets() -> int:
    """Return the datagrams that found no room in their socket."""
    rows = [line.split() for line in (OWN / "snmp").read_text().splitlines()]
    names, values = (row for row in rows if row[0] == "Udp:")
    return int(values[names.index("RcvbufErrors")])
