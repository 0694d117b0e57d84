"""OVN's databases, filled for many nodes of which one is real: what they hold, and northd takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from msgspec import structs

from virtboost.net.emulate import chassis, launch, space
from virtboost.net.emulate.logical import Central, Chassis
from virtboost.net.emulate.scene import scene
from virtboost.net.emulate.switched import Programmed
from virtboost.net.validate.rung import LogicalRun, LogicalRung, network

PROGRAMS = launch.OF_DAEMONS["ovn"]

ADDED = 5
"""Ports that are added one by one: of what each takes the median counts."""


QUIET_S = 1
"""Without another rule, once ovn-controller has seen all rows."""


def climb(rung: LogicalRung) -> LogicalRun:
    """Run one rung: the other nodes are rows of the databases, with their ports bound to them.

    Raises:
        DaemonError: A daemon ended, or refused.
    """
    whole = scene(
        network(rung.nodes, rung.ports), nodes=rung.nodes, design="ovn-central", faults=()
    )
    space.build(structs.replace(whole, speakers=whole.speakers[:1]))
    central, real = Central(whole.central), Chassis(0, whole.speakers[0])
    real.start()
    others = enumerate([each.address for each in whole.speakers[1:]], 1)
    last = chassis.port(rung.nodes - 1, rung.ports - 1)
    calls = [call for place, address in others for call in _bound(rung, place, address)]
    central.ask("ovn-sbctl", "wait-until", "Port_Binding", last, *calls)
    watch = Programmed([real])
    while not watch.complete:
        watch.wait(1)
        central.check()
    rows, rules = central.rows(), _settled(real)
    took = [_add(central, f"added-{number}") for number in range(ADDED)]
    return LogicalRun(
        rung=rung,
        rows=rows,
        rules=rules,
        seconds=statistics.median(seconds for seconds, _ in took),
        cpu_s=statistics.median(cpu_s for _, cpu_s in took),
    )


def _settled(real: Chassis) -> int:
    """Return how many rules the real node has, once no more come."""
    before, found = -1, real.rules()
    while found != before:
        time.sleep(QUIET_S)
        before, found = found, real.rules()
    return found


def _bound(rung: LogicalRung, place: int, address: str) -> Iterator[str]:
    """Yield what ovn-controller of a node would write into the southbound database."""
    own = chassis.name(place)
    yield from ("--", "chassis-add", own, "geneve", address)
    for number in range(rung.ports):
        yield from ("--", "lsp-bind", chassis.port(place, number), own)


def _add(central: Central, port: str) -> tuple[float, float]:
    """Add a port to the real node's switch; return the seconds, and CPU seconds of northd."""
    cpu_s, began = central.northd.cpu_s(), time.monotonic()
    central.ask("ovn-nbctl", "--wait=sb", "lsp-add", chassis.name(0), port)
    return time.monotonic() - began, central.northd.cpu_s() - cpu_s
