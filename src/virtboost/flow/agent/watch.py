"""What tells of changes: one thread hears all, and closes the gate before anything else."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from virtboost.errors import InputError, Unreachable
from virtboost.flow.agent.device import attributes, messages

PATIENCE_S = 10

OPENFLOW = "OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15"

COLUMNS: Mapping[str, Sequence[str]] = {
    "Open_vSwitch": ("bridges", "other_config", "datapaths"),
    "Bridge": (
        *("name", "ports", "mirrors", "netflow", "sflow", "ipfix", "protocols", "fail_mode"),
        *("other_config", "flow_tables", "mcast_snooping_enable", "stp_enable", "rstp_enable"),
        *("datapath_type", "flood_vlans", "controller"),
    ),
    "Port": (
        *("name", "interfaces", "trunks", "tag", "vlan_mode", "cvlans", "qos", "bond_mode"),
        *("bond_active_slave", "lacp", "other_config", "protected"),
    ),
    "Interface": (
        *("name", "type", "options", "ofport", "admin_state", "link_state", "mtu", "mac_in_use"),
        *("ingress_policing_rate", "ingress_policing_burst", "cfm_fault", "other_config"),
    ),
    "Mirror": ("select_all", "select_src_port", "select_dst_port", "output_port", "output_vlan"),
    "QoS": ("type", "queues", "other_config"),
    "Queue": ("other_config", "dscp"),
    "Datapath": ("ct_zones",),
    "CT_Zone": ("timeout_policy", "limit"),
    "CT_Timeout_Policy": ("timeouts",),
}
"""What changes packets; statistics are none of it.  Those that a schema has not are left out."""

LINK, QDISCS, ROUTES = (16, 17), (36, 37), (20, 21, 24, 25)
"""RTM_NEWLINK, RTM_DELLINK; RTM_NEWQDISC, RTM_DELQDISC; RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE,
RTM_DELROUTE."""

NEIGHBOURS, DST, LLADDR = (28, 29), 1, 2
"""RTM_NEWNEIGH, RTM_DELNEIGH; NDA_DST and NDA_LLADDR."""

GROUPS, NEIGHBOUR_GROUP, QDISC_GROUP = 0x1 | 0x10 | 0x40 | 0x100 | 0x400, 0x4, 0x8
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, and IPv6's; RTMGRP_NEIGH; RTMGRP_TC."""


class Source(Protocol):
    """Something that tells of changes."""

    name: str
    alive: bool
    """Whether it will tell of the next one."""

    def fileno(self) -> int:
        """Return what is polled."""

    def changed(self) -> bool:
        """Read what there is; tell whether it is a change.  Its end is one."""

    def close(self) -> None:
        """End it."""


class RuleMonitor:
    """The rules of one bridge: ``ovs-ofctl monitor BRIDGE watch:``."""

    def __init__(self, run: Path, bridge: str) -> None:
        """Start it; its first lines are the rules as they are.

        Raises:
            Unreachable: It tells none: the bridge is gone, or does not want it.
            InputError: A program is not there.
        """
        self.name = f"rules of {bridge}"
        self.alive = True
        argv = ("setpriv", "--pdeathsig", "KILL", "ovs-ofctl", "-O", OPENFLOW, "monitor")
        try:
            self._process = subprocess.Popen(
                (*argv, bridge, "watch:"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OVS_RUNDIR": str(run)},
            )
        except OSError as error:
            raise InputError(f"flow run needs setpriv and ovs-ofctl: {error.strerror}") from None
        told = self._read() if select.select([self], [], [], PATIENCE_S)[0] else b""
        if b"reply" not in told:
            self.close()
            why = told.decode(errors="replace").strip().partition("\n")[0] or "no answer"
            raise Unreachable("local", f"{bridge}: its rules are not told: {why}")

    def fileno(self) -> int:
        """Return its output."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def _read(self) -> bytes:
        return os.read(self.fileno(), 1 << 16)

    def changed(self) -> bool:
        """Every line is a change."""
        self.alive = bool(self._read())
        return True

    def close(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class DatabaseMonitor:
    """The configuration: RFC 7047, ``monitor``."""

    name = "configuration"

    def __init__(self, run: Path) -> None:
        """Connect, and read the tables as they are.

        Raises:
            Unreachable: The database does not answer.
        """
        self.alive = True
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE_S)
        self._text = ""
        path = run / "db.sock"
        try:
            self._socket.connect(str(path))
            tables = self._asked("get_schema", ["Open_vSwitch"])["tables"]
            wanted = {
                table: {"columns": [each for each in columns if each in tables[table]["columns"]]}
                for table, columns in COLUMNS.items()
                if table in tables
            }
            found = self._asked("monitor", ["Open_vSwitch", None, wanted])
        except (OSError, KeyError, TypeError) as error:
            self.close()
            raise Unreachable("local", f"{path}: {error}") from None
        self.policies = bool(found.get("CT_Timeout_Policy"))
        """Whether a zone of conntrack has timeouts of its own."""

    def _asked(self, method: str, parameters: list[Any]) -> Any:
        self._send({"method": method, "params": parameters, "id": method})
        while True:
            for message in self._messages():
                if message.get("id") == method:
                    if message.get("error") is not None:
                        raise OSError(f"{method}: {message['error']}")
                    return message["result"]

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode())

    def _messages(self) -> Iterator[dict[str, Any]]:
        data = self._socket.recv(1 << 16)
        if not data:
            raise OSError("the connection broke")
        self._text += data.decode(errors="replace")
        decoder = json.JSONDecoder()
        while self._text:
            try:
                message, end = decoder.raw_decode(self._text)
            except ValueError:
                return
            self._text = self._text[end:].lstrip()
            yield message

    def fileno(self) -> int:
        """Return its socket."""
        return self._socket.fileno()

    def changed(self) -> bool:
        """Answer what keeps the connection; an update is a change."""
        try:
            methods = [self._taken(message) for message in self._messages()]
        except OSError:
            self.alive = False
            return True
        return "update" in methods

    def _taken(self, message: dict[str, Any]) -> object:
        if message.get("method") == "echo":
            self._send({"result": message["params"], "error": None, "id": message["id"]})
        if message.get("method") == "update" and "CT_Timeout_Policy" in message["params"][1]:
            self.policies = True
        return message.get("method")

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class KernelMonitor:
    """Devices of the datapath, addresses, routes: rtnetlink(7).

    With a datapath of the kernel's neighbours too; else queueing disciplines, which XDP passes by.
    """

    name = "devices and routes"

    def __init__(self, *, in_kernel: bool = False) -> None:
        """Begin to listen; ``in_kernel``: whether the datapath is the kernel's."""
        self.alive = True
        self._neighbours: dict[tuple[int, bytes], bytes] = {}
        self.devices: frozenset[int] = frozenset()
        """Whose changes count."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._socket.bind((0, GROUPS | (NEIGHBOUR_GROUP if in_kernel else QDISC_GROUP)))

    def fileno(self) -> int:
        """Return its socket."""
        return self._socket.fileno()

    def changed(self) -> bool:
        """Tell whether a message is about a device of the datapath, or a route."""
        try:
            data = self._socket.recv(1 << 16)
        except OSError:  # more than the buffer holds: which ones is not known
            return True
        return any(self._counts(*message) for message in messages(data))

    def _counts(self, kind: int, body: bytes) -> bool:
        if kind in (*LINK, *QDISCS) and len(body) >= 8:
            return struct.unpack_from("=i", body, 4)[0] in self.devices
        if kind in NEIGHBOURS and len(body) >= 12:
            return self._moved(kind, body)
        return kind in ROUTES

    def _moved(self, kind: int, body: bytes) -> bool:
        """Tell whether a neighbour's address is another; most messages are that it was heard of."""
        device, told = struct.unpack_from("=i", body, 4)[0], dict(attributes(body[12:]))
        if device not in self.devices:
            return False
        key = device, told.get(DST, b"")
        address = told.get(LLADDR, b"") if kind == NEIGHBOURS[0] else b""
        before, self._neighbours[key] = self._neighbours.get(key), address
        return before != address

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class DaemonMonitor:
    """Whether ovs-vswitchd is there: a connection that breaks with it."""

    name = "ovs-vswitchd"

    def __init__(self, path: Path) -> None:
        """Connect to its control socket.

        Raises:
            Unreachable: It is not there.
        """
        self.alive = True
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self.close()
            raise Unreachable("local", f"{path}: {error.strerror}") from None

    def fileno(self) -> int:
        """Return its socket."""
        return self._socket.fileno()

    def changed(self) -> bool:
        """It tells of nothing but its end."""
        self.alive = False
        return True

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class Watch:
    """The thread that hears all of them."""

    def __init__(self, close: Callable[[str], None]) -> None:
        """Start it.

        Args:
            close: Closes the gate, with what changed; called from the thread.
        """
        self._close = close
        self._sources: dict[int, Source] = {}
        self._poll = select.epoll()
        self._lock = threading.Lock()
        self._stopped = False
        self.told = os.eventfd(0, os.EFD_NONBLOCK)
        """Can be read after a change."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the next change of every source will be heard."""
        sources = tuple(self._sources.values())
        return self._thread.is_alive() and all(source.alive for source in sources)

    def add(self, source: Source) -> None:
        """Hear one more."""
        self._sources[source.fileno()] = source
        self._poll.register(source, select.EPOLLIN | select.EPOLLHUP)

    def remove(self, source: Source) -> None:
        """Hear it no more."""
        with self._lock:  # its number may be another's as soon as it is closed
            with contextlib.suppress(OSError, ValueError):  # its end has it out already
                self._poll.unregister(source)
            self._sources = {k: v for k, v in self._sources.items() if v is not source}
            source.close()

    def stop(self) -> None:
        """End the thread and every source."""
        self._stopped = True
        self._thread.join()
        for source in tuple(self._sources.values()):
            self.remove(source)
        self._poll.close()
        os.close(self.told)

    def _run(self) -> None:
        while not self._stopped:
            for descriptor, _ in self._poll.poll(0.2):
                with self._lock:
                    source = self._sources.get(descriptor)
                    if source is not None:
                        self._hear(source)

    def _hear(self, source: Source) -> None:
        try:
            changed = source.changed()
        except Exception:  # noqa: BLE001 -- not understood: it may have been any change
            source.alive, changed = False, True
        if changed:
            self._close(source.name)
        if not source.alive:
            with contextlib.suppress(OSError, ValueError):
                self._poll.unregister(source)
        if changed:
            os.eventfd_write(self.told, 1)
