"""What daemons, kernels and datastores cost in a simulation; a calibration replaces it whole.

Defaults are the laws of ``net/law.py``: BIRD 2.0.12, Open vSwitch 3.1.0, OVN 23.03.1 and etcd
3.4.23 on one virtual machine of two x86_64 CPUs. A field that was not measured says so.
"""

from __future__ import annotations

import math

from msgspec import Struct

from virtboost.net import law

MACHINE = "2-vCPU Debian 12 virtual machine, x86_64"
"""Of the defaults."""

MOST = 1e12
"""Above every cost, in seconds or bytes: more is a slip."""


class Costs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All parameters of a simulation that a machine and its software decide.

    A calibration is such a document, in YAML or JSON; what it leaves out is as here.
    """

    machine: str = MACHINE
    """Where it was measured, for people."""

    # A BGP daemon: one thread, CPU seconds.
    begin_s: float = law.BEGIN_CPU.value
    """CPU seconds to start and read the configuration. Measured: 0.6 to 7 ms (``bird-emulated``,
    ``bird-mesh``)."""
    spawn_s: float = 0.0
    """Seconds from the start of one daemon to that of the next. 0: each host starts its own, all
    at once. An emulation starts them in turn: 0.073 on a busy machine (11 s for 150,
    ``bird-mesh``)."""
    session_s: float = law.SESSION_CPU.value
    """CPU seconds of one end to bring a session up, to ``session_knee`` peers. Measured in meshes
    of 20 to 150 nodes: 0.15 ms (``bird-emulated``), on a busier machine to 0.7 (``bird-mesh``)."""
    session_knee: int = law.SESSION_KNEE
    """Peers beyond which that grows, with a power of the peers: 0.36 ms with 500, 1.83 with
    1,000, 6.0 with 2,000 (``bird-ladder``), within 21 %; of the 0.3 with 200 it is half."""
    session_power: float = 2.0
    """That power. Measured: the square (``bird-ladder``); where peers begin fifty at a time, one
    (``net validate --ladder``)."""
    burst_sessions: int = law.LADDER[1][0]
    """First attempts that a daemon accepts in ``burst_s``; others fail, and wait: of 500 at once
    all succeeded, of 1,000 not (``bird-ladder``); 8 wait until they are accepted (``ss -ltn``)."""
    burst_s: float = 1.0
    """Seconds; see ``burst_sessions``."""
    send_s: float = law.REFLECT_CPU.value
    """CPU seconds to send a route to a peer; a reflector's, for each client, too. An estimate,
    between 0 and 27 us (``bird-reflector``)."""
    receive_s: float = 3.5e-6
    """CPU seconds to take a route in and compare paths. An estimate: of 20 to 27 us of both ends
    (``bird-mesh``), what is left beside sending and installing."""
    install_s: float = law.ROUTE_CPU.value - law.REFLECT_CPU.value - 3.5e-6
    """CPU seconds to put a route into the kernel, or take it out. An estimate, as ``receive_s``;
    34 us by another program (``kernel-routes``)."""
    message_s: float = law.MESSAGE_CPU.value
    """CPU seconds more for each message, at either end, however many routes it has. An estimate,
    between 0 and 14 us (``bird-emulated``)."""
    scan_s: float = law.SCAN_CPU.value
    """CPU seconds for each route of a scan of the kernel's table.  Measured: 0.7 to 1.0 us
    (``bird-scan``)."""
    bfd_s: float = law.BFD_CPU.value
    """CPU seconds for a packet of BFD with its receipt. Measured: 70 to 130 us
    (``bird-failure``)."""
    bfd_late_s: float = 0.05
    """Most by which BFD was seen late (``bird-failure``)."""
    early_ratio: float = 0.25
    """Most by which a timer is started early, uniformly: BIRD's of BGP (``bird-timers``), of all
    packets of BFD (RFC 5880, section 6.8.7)."""
    closed_s: float = 0.05
    """Most until a peer sees that a killed daemon's connection is closed: 0.01 to 0.05
    (``bird-failure``)."""

    # A BGP daemon: bytes, by peers and paths.
    memory_bytes: float = law.BIRD_BYTES
    """Its own, of a daemon without peers, with pages of no file. Measured, with peers, paths and
    origins to 2,000 peers and 10,000 paths within 6.0 % (``bird-memory``)."""
    peer_bytes: float = law.PEER_BYTES
    """For each peer (``bird-memory``)."""
    path_bytes: float = law.PATH_BYTES
    """For each path (``bird-memory``)."""
    origin_bytes: float = law.ORIGIN_BYTES
    """For paths of the same attributes: of one node, by one reflector (``bird-memory``)."""

    # Between daemons.
    link_s: float = 100e-6
    """Seconds of a packet from one node to another. Assumed: a round trip of 0.2 ms; no result
    but of single changes depends on it."""

    # Datastore, Typha, agents.
    watch_s: float = law.WATCH_CPU.value
    """CPU seconds of the datastore, and assumed of a Typha, to give an event to a watcher.
    Measured: 140 to 142 us by etcd's JSON gateway (``etcd-watch``); by gRPC it is less."""
    member_s: float = 20e-6
    """CPU seconds of Felix to add an address to a set.  Published: 1 to 2 ms for 100
    (projectcalico/felix issue 786, 2015)."""
    agent_s: float = 0.12
    """CPU seconds of a node's agent to start. Measured of the part of Felix that an emulation has
    (``overlays-emulated``); Felix itself does more."""
    remote_s: float = law.REMOTE_S.value
    """Seconds of Felix to add a remote node to a VXLAN: route, forwarding entry and neighbour
    (``kernel-routes``)."""

    # Open vSwitch, OVN.
    switch_s: float = 0.13
    """CPU seconds of a node's Open vSwitch to start, with its database and what prepares it
    (``overlays-emulated``)."""
    switch_bytes: float = law.SWITCH_BYTES
    """Of an ovs-vswitchd without rules; less where many share a machine (``ovs-rules``)."""
    rule_s: float = law.RULE_S.value
    """Seconds to install an OpenFlow rule, in a bundle.  Measured: 16 to 22 us, to 200,000 rules
    (``ovs-rules``)."""
    rule_bytes: float = law.RULE_BYTES.value
    """Of a rule in ovs-vswitchd.  Measured: 1,000 to 1,340 (``ovs-rules``)."""
    tunnel_bytes: float = 50e3
    """Of a tunnel in ovs-vswitchd, with megaflows both ways (``overlays-emulated``)."""
    upcall_s: float = law.UPCALL_CPU.value
    """CPU seconds of the first packet of a flow, with the installation of the megaflow.
    Measured: 24 to 93 us in the userspace datapath (``ovs-upcall``)."""
    megaflow_limit: int = 200_000
    """Most megaflows (``megaflows``)."""
    megaflow_begin: int = 10_000
    """Their limit at first, (``ovs-upcall``)."""
    megaflow_growth_per_s: float = 1_000.0
    """By which the limit grows while flows are needed (``ovs-upcall``)."""
    megaflow_idle_s: float = 10.0
    """Seconds without a packet until a megaflow goes: Open vSwitch's default."""
    northd_row_s: float = law.NORTHD_ROW_CPU.value
    """CPU seconds of northd for each row of logical flows of a whole computation. Measured: 20
    to 35 us, to 11,000 rows (``ovn-northd``)."""
    row_s: float = 54e-6
    """CPU seconds of the southbound database to give a row to an ovn-controller, with all else that
    it does meanwhile (``overlays-emulated``)."""
    chassis_s: float = 0.07
    """CPU seconds of an ovn-controller to start (``overlays-emulated``)."""
    tunnel_s: float = 0.02
    """CPU seconds of a node of OVN for each tunnel, a port of its ovs-vswitchd
    (``overlays-emulated``)."""
    port_s: float = 2.3e-3
    """CPU seconds of a node of OVN for each of its pods (``overlays-emulated``)."""
    controller_rule_s: float = 3.4e-6
    """CPU seconds of ovn-controller for each rule, of all whenever a node joins
    (``overlays-emulated``)."""
    controller_bytes: float = law.CONTROLLER_IDLE_BYTES
    """Of an ovn-controller without rules (``ovn-fit``)."""
    controller_rule_bytes: float = law.CONTROLLER_BYTES.value
    """Of a rule in ovn-controller (``ovn-fit``)."""

    def __post_init__(self) -> None:
        """Refuse what no machine has.

        Raises:
            ValueError: With the field.
        """
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, str):
                continue
            if not (math.isfinite(value) and 0 <= value < MOST):
                raise ValueError(f"{name}: from 0 to {MOST:.0e}")
        for name in ("link_s", "burst_s", "burst_sessions", "session_knee"):
            if not getattr(self, name):
                raise ValueError(f"{name}: above 0")
        if self.early_ratio >= 1:
            raise ValueError("early_ratio: below 1")

    def session(self, peers: int) -> float:
        """Return the CPU seconds of one end of a session, of a daemon with so many peers."""
        return self.session_s * self.session_growth(peers)

    def session_growth(self, peers: float) -> float:
        """Return how many times more a session takes, of a daemon with so many peers."""
        return float(max(1.0, peers / self.session_knee) ** self.session_power)

    def bgp_bytes(self, peers: float, paths: float, origins: float) -> float:
        """Return the memory of a daemon, of a node or a reflector."""
        held = self.path_bytes * paths + self.origin_bytes * origins
        return self.memory_bytes + self.peer_bytes * peers + held
