"""Ports of the datapath that the data plane is in front of, and those it may redirect to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from virtboost.flow.agent.compose import device_line
from virtboost.flow.agent.device import Features
from virtboost.flow.agent.link import Link
from virtboost.flow.dataplane import DataPlane
from virtboost.flow.encode import Port


class Ports:
    """Those that a user allowed."""

    def __init__(
        self, plane: DataPlane, allowed: Sequence[str], tell: Callable[[str], None]
    ) -> None:
        """Begin without any."""
        self._plane, self._allowed, self._tell = plane, allowed, tell
        self._attached: set[int] = set()
        self._features = Features()
        self._deaf: set[str] = set()
        self.usable: Mapping[str, Port] = {}
        """Devices that packets may be redirected from and to, by name."""

    def follow(self, link: Link) -> None:
        """Be in front of each that is a port by now.

        Raises:
            Unreachable: The daemon is gone.
            NotLoaded: The data plane cannot be in front of one.
        """
        link.follow()
        for name, port in link.ports(self._allowed).items():
            if port.ifindex not in self._attached:
                self._plane.attach(port.ifindex)
                self._attached.add(port.ifindex)
                self._tell(f"attached to {name}")

    def look(self, link: Link) -> Mapping[str, int]:
        """See what each is by now; return what entries need of them."""
        there = link.ports(self._allowed)
        deaf = set() if link.in_kernel else {n for n, p in there.items() if self._drops(p)}
        for name in deaf - self._deaf:
            self._tell(
                f"{name}: the kernel would drop what is redirected to it: its other end needs GRO "
                "on (ethtool -K DEVICE gro on) or an XDP program"
            )
        self._deaf = deaf
        self.usable = {name: port for name, port in there.items() if name not in deaf}
        return {device_line(name, port): 0 for name, port in self.usable.items()}

    def _drops(self, port: Port) -> bool:
        """Tell whether what XDP redirects to a port is lost; TC sends it as any other frame."""
        return self._features.takes_redirected(port.ifindex) is False

    def close(self) -> None:
        """Ask the kernel no more."""
        self._features.close()
