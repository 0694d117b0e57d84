"""Ports of the datapath that the data plane is in front of, and those it may redirect to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from virtboost.flow.agent.compose import device_line
from virtboost.flow.agent.device import Features, device_of, queueing
from virtboost.flow.agent.link import Link
from virtboost.flow.dataplane import DataPlane, NotLoaded
from virtboost.flow.encode import Port

DROPS = (
    "the kernel would drop what is redirected to it: its other end needs GRO on "
    "(ethtool -K DEVICE gro on) or an XDP program"
)

PLAIN = {"noqueue", "pfifo_fast", "pfifo", "bfifo", "mq", "fq", "fq_codel", "ingress"}
"""Queueing disciplines (tc(8)) that limit no rate and change no packet; ``ingress`` sees what comes
in, and a socket of Open vSwitch has it before.  ``clsact`` also has filters of what goes out."""


class Ports:
    """Those that a user allowed."""

    def __init__(
        self, plane: DataPlane, allowed: Sequence[str], tell: Callable[[str], None]
    ) -> None:
        """Begin without any."""
        self._plane, self._allowed, self._tell = plane, allowed, tell
        self._attached: set[int] = set()
        self._features = Features()
        self._unfit: Mapping[str, str] = {}
        self.usable: Mapping[str, Port] = {}
        """Devices that packets may be redirected from and to, by name."""

    def follow(self, link: Link) -> None:
        """Be in front of each that is a port by now.

        Raises:
            Unreachable: The daemon is gone.
            NotLoaded: The data plane cannot be in front of one.
        """
        link.follow()
        there = {port.ifindex: name for name, port in link.ports(self._allowed).items()}
        for gone in self._attached - there.keys():
            self._plane.detach(gone)
            self._attached.remove(gone)
        for ifindex, name in there.items():
            if ifindex not in self._attached:
                self._attach(ifindex, name)

    def _attach(self, ifindex: int, name: str) -> None:
        try:
            self._plane.attach(ifindex)
        except NotLoaded:
            if device_of(name) is None:  # the kernel tells of its end, and there is another look
                return
            raise
        self._attached.add(ifindex)
        self._tell(f"attached to {name}")

    def look(self, link: Link) -> Mapping[str, int]:
        """See what each is by now; return what entries need of them."""
        there = link.ports(self._allowed)
        unfit = {} if link.in_kernel else dict(self._unfitted(there))
        for name, why in unfit.items() - self._unfit.items():
            self._tell(f"{name}: {why}")
        self._unfit = unfit
        self.usable = {name: port for name, port in there.items() if name not in unfit}
        return {device_line(name, port): 0 for name, port in self.usable.items()}

    def _unfitted(self, there: Mapping[str, Port]) -> Iterator[tuple[str, str]]:
        """Yield the ports that XDP cannot send as Open vSwitch does; TC sends as it does."""
        disciplines = queueing()
        for name, port in there.items():
            kept = disciplines.get(port.ifindex, set()) - PLAIN
            if self._features.takes_redirected(port.ifindex) is False:
                yield name, DROPS
            elif kept:
                yield name, f"left to Open vSwitch: XDP sends past {', '.join(sorted(kept))}"

    def close(self) -> None:
        """Ask the kernel no more."""
        self._features.close()
