"""Two hosts of an overlay, their ends, and the wire between them."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from differential.compare import Difference
from differential.pipelines import PEERS, PORTS, TUNNELS, rules
from differential.tap import WIRE, Tap
from support.namespace import namespace, pair
from support.vtep import UPLINK, Host, host

NUMBERS = {"a": 88, "b": 92}

PATIENCE_S = 20

_VARIES = re.compile(r",(?:timeout|id)=\d+")


class World:
    """One of two that get the same frames."""

    def __init__(self, hosts: Mapping[str, Host], tap: Tap) -> None:
        self.hosts, self.tap = hosts, tap
        self._number = itertools.count()
        self._held = False

    def settle(self) -> None:
        """Wait until what was sent has left the hosts.

        A mark follows the frames through Open vSwitch, and when it is there, a second: the first may
        share a batch with a frame before it, whose lookup takes longer.

        Raises:
            Difference: Nothing passes.
        """
        for _ in range(2):
            marks = {end: self.tap.mark(end, next(self._number)) for end in PEERS}
            for end, content in marks.items():
                self._follow(end, content)

    def _follow(self, end: str, content: bytes) -> None:
        peer = PEERS[end]
        target = f"{end[0]}w" if self._held and peer[0] != end[0] else peer
        limit = time.monotonic() + PATIENCE_S
        while not self.tap.passed(target, content, 0.1):
            if time.monotonic() > limit:
                raise Difference(f"{end}: nothing passes to {target}")
            self.tap.mark(end, int.from_bytes(content[:8], "big"))

    def hold(self) -> None:
        """Keep frames between the hosts until ``release``."""
        self.tap.hold()
        self._held = True

    def release(self) -> None:
        self.tap.release()
        self._held = False

    def connections(self) -> dict[str, list[str]]:
        """Return what each host tracks, without what tells of time."""
        return {
            name: sorted(_VARIES.sub("", line) for line in _tracked(each))
            for name, each in self.hosts.items()
        }

    def renew(self) -> None:
        """Have the rules as they were, no connection, and nothing on its way."""
        for name, each in self.hosts.items():
            each.rules(rules(name))
        self.forget()
        self.settle()
        self.tap.taken()

    def forget(self) -> None:
        """Flush the connections."""
        for each in self.hosts.values():
            each.app("dpctl/flush-conntrack")

    def restart(self, name: str) -> None:
        """End a host's ovs-vswitchd and start another."""
        each = self.hosts[name]
        each.stop()
        each.start()
        self._tend(name)

    def change(self, name: str, version: str) -> None:
        """Give a host another version of its rules."""
        self.hosts[name].rules(rules(name, int(version)))

    def replug(self, name: str, port: str) -> None:
        """Take a port out of Open vSwitch and put it in again."""
        each = self.hosts[name]
        each.vs("del-port", "br-int", port)
        each.port(port, PORTS[name][port])

    def _tend(self, name: str) -> None:
        each = self.hosts[name]
        each.reach(self.hosts["b" if name == "a" else "a"])
        each.app("dpctl/ct-disable-tcp-seq-chk")
        each.rules(rules(name))


def _tracked(each: Host) -> list[str]:
    return each.app("dpctl/dump-conntrack", "-m", "-s").splitlines()


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Run the hosts, with rules and without a fast path.

    The check of TCP windows is off: a fast path of TCP needs it off, and both worlds must do alike.
    """
    folder.mkdir()
    with ExitStack() as stack:
        lab = stack.enter_context(namespace())
        hosts = {
            name: stack.enter_context(host(folder / name, number))
            for name, number in NUMBERS.items()
        }
        for name, each in hosts.items():
            pair(each.pid, UPLINK, lab, f"{name}w")
            for port in PORTS[name]:
                pair(each.pid, port, lab, f"{name}{port[1:]}")
        tap = stack.enter_context(Tap(lab, tuple(PEERS)))
        made = World(hosts, tap)
        for name, peer in (("a", "b"), ("b", "a")):
            hosts[name].bridges(hosts[peer])
            for port, number in PORTS[name].items():
                hosts[name].port(port, number)
            for tunnel, (number, vni) in TUNNELS.items():
                hosts[name].tunnel(tunnel, number, hosts[peer], vni)
            made._tend(name)
        yield made


assert set(WIRE) == {f"{name}w" for name in NUMBERS}
