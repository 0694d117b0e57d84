"""One running ovs-vswitchd: what is asked of it, and what tells of its changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from virtboost.errors import InputError, Unreachable
from virtboost.flow.agent.device import device_of
from virtboost.flow.agent.watch import (
    DaemonMonitor,
    DatabaseMonitor,
    KernelMonitor,
    RuleMonitor,
    Source,
    Watch,
)
from virtboost.flow.encode import Port
from virtboost.flow.switch import read_switch, section
from virtboost.transport.unixctl import Unixctl, control_socket

ZONES_MOST = 4
"""That are asked for one by one."""

USERSPACE, KERNEL = "netdev@", "system@"

INVALID_RST = "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst"
"""1: an RST is not held against acknowledgements that conntrack saw (since Linux 5.14)."""


class Link:
    """A connection to a daemon, with its monitors."""

    def __init__(self, place: Path, watch: Watch) -> None:
        """Connect, and hear of its changes from now on.

        Args:
            place: Its run folder, or its control socket.
            watch: Gets the monitors.

        Raises:
            Unreachable: It is not there.
            InputError: It has no datapath of these, or a program is missing.
        """
        self._run = place.parent if place.is_socket() else place
        self._watch = watch
        self._sources: list[Source] = []
        self._uplinks: frozenset[str] = frozenset()
        self.control = Unixctl(place)
        try:
            self.name = _datapath(self.control.ask("dpctl/dump-dps").split())
            self._add(DaemonMonitor(control_socket(place)))
            self.database = DatabaseMonitor(self._run)
            self._add(self.database)
            self.kernel = KernelMonitor(in_kernel=self.in_kernel)
            self._add(self.kernel)
            self.follow()
        except (Unreachable, InputError):
            self.close()
            raise

    @property
    def in_kernel(self) -> bool:
        """Whether the datapath is the kernel's."""
        return self.name.startswith(KERNEL)

    @property
    def hook(self) -> str:
        """Where a data plane is in front of its ports: ``tc`` or ``xdp``."""
        return "tc" if self.in_kernel else "xdp"

    def _add(self, source: Source) -> None:
        self._sources.append(source)
        self._watch.add(source)

    def follow(self) -> None:
        """Hear every bridge and device that there is by now.

        Raises:
            Unreachable: The daemon is gone.
        """
        shown = section(self.control.ask("dpif/show").splitlines(), self.name)
        ports = self.control.ask("dpctl/show", self.name)
        switch = read_switch([*shown, *ports.splitlines()], "dpif/show")
        self.bridges = switch.bridges
        self.devices = {port.name: port.kind for port in switch.ports}
        self.kernel.devices = frozenset(_indexes((*self.devices, *self._uplinks)))
        heard = {each.name for each in self._sources if each.alive}
        for bridge in self.bridges:
            if f"rules of {bridge}" not in heard:
                self._add(RuleMonitor(self._run, bridge))
        for source in [each for each in self._sources if not self._wanted(each)]:
            self._sources.remove(source)
            self._watch.remove(source)

    def _wanted(self, source: Source) -> bool:
        """Tell whether a source is of this switch as it is."""
        if not isinstance(source, RuleMonitor):
            return True
        return source.alive and source.name in {f"rules of {each}" for each in self.bridges}

    def ports(self, allowed: Sequence[str]) -> Mapping[str, Port]:
        """Return the devices of this machine that packets come and go by, by name.

        They are ports of the datapath.  Tunnels of the kernel's go through devices that are none.
        """
        found = {}
        for name in allowed:
            uplink = self.in_kernel and name not in self.devices
            if uplink or self.devices.get(name) == "system":
                device = device_of(name)
                if device is not None:
                    found[name] = device
        self._hear(frozenset(found.keys() - self.devices.keys()))
        return found

    def _hear(self, uplinks: frozenset[str]) -> None:
        """Hear devices that are no ports from now on."""
        if uplinks != self._uplinks:
            self._uplinks = uplinks
            self.kernel.devices = frozenset(_indexes((*self.devices, *uplinks)))

    def flows(self) -> str:
        """Return the megaflows."""
        return self.control.ask("dpctl/dump-flows", "-m", self.name)

    def connections(self, zones: Collection[int]) -> str:
        """Return the connections of zones, with their timeouts; where these are many, all."""
        words = ("dpctl/dump-conntrack", "-m", "-s", self.name)
        if len(zones) > ZONES_MOST:
            return self.control.ask(*words)
        return "".join(self.control.ask(*words, f"zone={zone}") for zone in sorted(zones))

    def checks_windows(self) -> bool:
        """Tell whether conntrack checks windows of TCP; the kernel's, acknowledgements of RST.

        Raises:
            Unreachable: The daemon is gone.
        """
        if self.in_kernel:
            return Path("/proc/sys", *INVALID_RST.split(".")).read_text() == "0\n"
        return "enabled" in self.control.ask("dpctl/ct-get-tcp-seq-chk", self.name)

    def close(self) -> None:
        """Hear and ask no more."""
        for source in self._sources:
            self._watch.remove(source)
        self.control.close()


def _datapath(names: Sequence[str]) -> str:
    """Return the datapath that the agent is for: a userspace one where there are both."""
    for kind in (USERSPACE, KERNEL):
        for name in names:
            if name.startswith(kind):
                return name
    if not names:  # as in the first moments of the daemon
        raise Unreachable("local", "no datapath: no bridge is there")
    raise InputError(f"flow run: needs a datapath netdev@ or system@; there is {', '.join(names)}")


def _indexes(names: Iterable[str]) -> Iterator[int]:
    for name in names:
        device = device_of(name)
        if device is not None:
            yield device.ifindex
