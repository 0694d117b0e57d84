"""Another kernel and another machine: the data plane on aarch64 and Debian's 6.1, without links for TC.

Open vSwitch has its datapath in the kernel there.  What it sends alone is what must leave.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet

from lab.run import Running
from support import lab
from support.bpf import PORTS, build, frame_of, plane, sent
from support.daemon import wait_until
from support.guest import GuestError, InGuest, in_guest, ship
from support.guest_agent import ENVIRONMENT, guest_agent, ship_product
from support.kernel_switch import HERE6, THERE6, KernelSwitch, kernel_switch
from support.pipeline import CLIENT, HERE, HERE_MAC, SERVER, THERE, THERE_MAC, VNI, segment
from support.pipelines import random_case
from virtboost.flow.compose import compose, compose_both
from virtboost.flow.connection import read_connections
from virtboost.flow.datapath import Datapath
from virtboost.flow.encode import Encoded, Port, encode
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.megaflow import read_flows
from virtboost.flow.packet import Packet as Sample
from virtboost.flow.packet import packet_from_bytes
from virtboost.flow.refusal import Refused
from virtboost.flow.underlay import Underlay, inside, on_the_wire, questions, read_underlay

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("lab-switch")]


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The objects as they ship, which this machine's compiler made."""
    folder = tmp_path_factory.mktemp("bpf")
    build(folder)
    return folder


@pytest.fixture(scope="module")
def machine(objects: Path) -> Iterator[Running]:
    with TemporaryDirectory(prefix="virtboost-") as folder:
        with lab.server(Path(folder), "taishan-4") as made:
            ship(made, objects)
            yield made


@pytest.fixture
def guest(machine: Running) -> Iterator[InGuest]:
    with in_guest(machine) as made:
        yield made


def drawn(seed: int) -> tuple[Encoded, list[bytes]] | None:
    """Return a random entry, a packet of it, and seven with a bit turned; None: it has no entry."""
    chance = random.Random(seed)
    case = random_case(chance)
    datapath = Datapath(
        read_flows(case.flows, "flows"), read_connections(case.connections, "connections")
    )
    entry = compose(Sample(in_port=case.in_port, headers=tuple(case.stack)), datapath)
    if not isinstance(entry, IntegratedEntry):
        return None
    ports = {**PORTS, "elsewhere": PORTS["v1"]}
    try:
        made = encode(entry, ports, epoch=1, lease_ns=2**63, slot=0, peer=0)
    except Refused:
        return None
    frames = [bytearray(frame_of(case.stack)) for _ in range(8)]
    for frame in frames[1:]:
        frame[chance.randrange(min(len(frame), 104))] ^= 1 << chance.randrange(8)
    return made, [bytes(frame) for frame in frames]


@pytest.mark.parametrize("hook", ["xdp", "tc"])
def test_aarch64_does_what_this_machine_does(guest: InGuest, objects: Path, hook: str) -> None:
    """The same objects, taken by that verifier; random entries, packets that are theirs or not."""
    assert guest.ask("load", hook) > 0
    verdicts = []
    with plane(hook, objects) as here:
        here.control(epoch=1)
        for made, frames in filter(None, map(drawn, range(90))):
            here.install(*made)
            here.clear(0)
            guest.install(made)
            ours = [sent(here, hook, frame) for frame in frames]
            theirs = guest.ask("run", [frame.hex() for frame in frames])
            assert [[left.verdict, left.frame.hex()] for left in ours] == theirs
            state = here.state(0)
            assert guest.ask("counted", 0) == [state.packets, state.bytes]
            verdicts += [left.verdict for left in ours]
            here.remove(made.key)
            guest.ask("remove", bytes(made.key).hex())
        assert guest.ask("passes") == {str(number): count for number, count in here.passes()}
    assert verdicts.count("redirect") > 40
    assert verdicts.count("pass") > 50


@pytest.fixture(scope="module")
def switch(machine: Running) -> Iterator[KernelSwitch]:
    with kernel_switch(machine) as made:
        yield made


RULES = (
    "ip,ct_state=-trk,actions=ct(table=1,zone=7,nat)",
    "ipv6,ct_state=-trk,actions=ct(table=1,zone=7,nat)",
    "table=1,ct_state=+new+trk,ip,in_port=1,actions=ct(commit,zone=7,nat(src=10.0.0.50)),output:3",
    "table=1,ct_state=+est+trk,ip,in_port=1,actions=mod_dl_src:02:00:00:00:00:07,output:3",
    "table=1,ct_state=+est+trk,ip,in_port=3,actions=dec_ttl,output:1",
)


def over(frame: Packet, version: int) -> Packet:
    """Return a frame as the other end of the tunnel sends it."""
    ends = {4: (THERE, HERE), 6: (THERE6, HERE6)}[version]
    network = (
        IP(src=ends[0], dst=ends[1], flags="DF", id=0)
        if version == 4
        else IPv6(src=ends[0], dst=ends[1])
    )
    outer = Ether(src=THERE_MAC, dst=HERE_MAC) / network / UDP(sport=40000, dport=4789, chksum=0)
    return outer / VXLAN(vni=VNI, flags=8) / frame


def conversation(guest: InGuest, version: int) -> tuple[bytes, bytes]:
    """Open a connection from ``v1`` through the tunnel; return frames that come next."""

    def client(flags: str, seq: int, ack: int, data: bytes = b"") -> bytes:
        return bytes(segment(flags, reply=False, seq=seq, ack=ack, data=data))

    def server(flags: str, seq: int, ack: int, data: bytes = b"") -> bytes:
        frame = segment(flags, reply=True, seq=seq, ack=ack, data=data)
        frame[IP].dst = "10.0.0.50"
        return bytes(over(frame, version))

    guest.carried("v1e", "up1", client("S", 1, 0))
    guest.carried("up1", "v1e", server("SA", 100, 2))
    guest.carried("v1e", "up1", client("A", 2, 101))
    guest.carried("up1", "v1e", server("A", 101, 2))
    return client("A", 2, 101, b"question"), server("A", 101, 10, b"answer!")


def way(switch: KernelSwitch, there: str) -> Underlay:
    return read_underlay(tuple(switch.ask(f"/bin/{' '.join(each)}") for each in questions(there)))


def alike(frame: bytes, version: int) -> bytes:
    """Return a frame without what each sender makes by itself: the outer source port, and the identification."""
    if version == 4:
        return frame[:18] + frame[20:24] + frame[26:34] + frame[36:]
    return frame[:54] + frame[56:]


@pytest.mark.parametrize("version", [4, 6])
def test_in_front_of_the_kernels_datapath(
    switch: KernelSwitch, machine: Running, guest: InGuest, version: int
) -> None:
    """Byte for byte what Open vSwitch sends alone, counted, and past it; it carries on afterwards."""
    there = {4: THERE, 6: THERE6}[version]
    switch.rules(RULES, there)
    asked, answered = conversation(guest, version)
    alone = guest.carried("v1e", "up1", asked), guest.carried("up1", "v1e", answered)
    entries = composed(switch, packet_from_bytes(asked, "v1"), way(switch, there))
    arrived = inside(packet_from_bytes(answered, "up0"))
    assert lasting(composed(switch, arrived, way(switch, there))) == lasting(entries)[::-1]
    before = switch.packets()
    guest.ask("load", "tc")
    install(guest, entries)
    for device in ("v1", "up0"):
        guest.ask("attach", device)
    assert "flow_tc" in machine.ask("/sbin/tc filter show dev up0 ingress")
    for times in (1, 2):
        ours = guest.carried("v1e", "up1", asked), guest.carried("up1", "v1e", answered)
        assert alike(ours[0], version) == alike(alone[0], version)
        assert ours[1] == alone[1]
        assert [guest.ask("counted", slot) for slot in (0, 1)] == [
            [times, times * len(asked)],
            [times, times * len(answered)],
        ]
    assert switch.packets() == before
    guest.ask("close")
    assert (
        machine.ask("/sbin/tc filter show dev up0 ingress; /sbin/tc qdisc show dev up0 clsact")
        == ""
    )
    after = guest.carried("v1e", "up1", asked), guest.carried("up1", "v1e", answered)
    assert (alike(after[0], version), after[1]) == (alike(alone[0], version), alone[1])
    assert switch.packets() > before


def test_the_kernels_tracker_wants_no_window(switch: KernelSwitch, guest: InGuest) -> None:
    """A segment 1,000,000 bytes ahead of what it saw, as comes back from the fast path: e2ef5203c817
    ("net: openvswitch: Be liberal in tcp conntrack.") (in v5.11)."""
    switch.rules(RULES, THERE)
    conversation(guest, 4)
    ahead = bytes(segment("A", reply=False, seq=10**6, ack=101, data=b"far ahead"))
    assert guest.carried("v1e", "up1", ahead).endswith(b"far ahead")


FILTERS = ("cls_bpf", "sch_ingress")


@pytest.mark.parametrize("removed", [FILTERS[:1], FILTERS], ids=len)
def test_a_kernel_without_filters_is_told_so(
    switch: KernelSwitch, machine: Running, guest: InGuest, removed: tuple[str, ...]
) -> None:
    """And nothing is left of clsact, where there is one."""
    guest.ask("load", "tc")
    machine.ask(f"rmmod {' '.join(removed)}")
    try:
        with pytest.raises(GuestError, match="the kernel lacks its modules sch_ingress or cls_bpf"):
            guest.ask("attach", "v1")
        assert "clsact" not in machine.ask("/sbin/tc qdisc show dev v1")
    finally:
        again = " -e ".join(removed)
        machine.ask(f"grep -e {again} /lib/modules/order | xargs -n 1 insmod")


def composed(switch: KernelSwitch, packet: Sample, underlay: Underlay) -> list[IntegratedEntry]:
    """Return the entries of both directions, of devices, the packet's first."""
    both = compose_both(packet, switch.dumped())
    assert both.installable, both
    found = []
    for each in (both.forward, both.reverse):
        assert isinstance(each, IntegratedEntry)
        found.append(on_the_wire(each, underlay))
    return found


def lasting(entries: list[IntegratedEntry]) -> list[object]:
    """Return what of entries is not counted or timed."""
    return [(each.in_port, each.match, each.transposition, each.ports) for each in entries]


def install(guest: InGuest, entries: list[IntegratedEntry]) -> None:
    ports = {name: Port(guest.ask("index", name), 1500) for name in ("v1", "up0")}
    for slot, entry in enumerate(entries):
        guest.install(encode(entry, ports, epoch=1, lease_ns=0, slot=slot, peer=1 - slot))


def test_what_a_killed_process_leaves_passes_everything(
    switch: KernelSwitch, machine: Running, guest: InGuest
) -> None:
    """Its filter is there and its entries are not renewed; the next one takes its place."""
    switch.rules(RULES, THERE)
    asked, _ = conversation(guest, 4)
    guest.ask("load", "tc")
    guest.ask("attach", "v1")
    machine.ask(f"kill -9 {guest.ask('process')}")
    assert "flow_tc" in machine.ask("/sbin/tc filter show dev v1 ingress")
    with in_guest(machine) as second:
        assert second.carried("v1e", "up1", asked)
        second.ask("load", "tc")
        second.ask("attach", "v1")
        assert machine.ask("/sbin/tc filter show dev v1 ingress").count("flow_tc:") == 1
        second.ask("close")
    assert (
        machine.ask("/sbin/tc filter show dev v1 ingress; /sbin/tc qdisc show dev v1 clsact") == ""
    )


def exchange(guest: InGuest) -> tuple[bytes, bytes]:
    """Open a connection of UDP from ``v1`` through the tunnel; return frames that come next."""
    asked = (
        Ether(src=CLIENT, dst=SERVER)
        / IP(src="10.0.0.1", dst="10.0.0.2")
        / UDP(sport=2000, dport=53)
    )
    answered = (
        Ether(src=SERVER, dst=CLIENT)
        / IP(src="10.0.0.2", dst="10.0.0.50")
        / UDP(sport=53, dport=2000)
    )
    frames = bytes(asked / b"question"), bytes(over(answered / b"answer", 4))
    guest.carried("v1e", "up1", frames[0])
    guest.carried("up1", "v1e", frames[1])
    return frames


INVALID_RST = "/proc/sys/net/netfilter/nf_conntrack_tcp_ignore_invalid_rst"

LEASE_S = 5

AGENT = ("--tcp-window", "liberal", "--lease", f"{LEASE_S}000")


class Talk:
    """A connection of TCP and one of UDP through the tunnel."""

    def __init__(self, guest: InGuest) -> None:
        self._guest = guest
        self._frames = conversation(guest, 4), exchange(guest)

    def asked(self) -> list[bytes]:
        """Send a frame of each, and an answer of each; return what leaves through the tunnel."""
        left = []
        for asked, answered in self._frames:
            left.append(alike(self._guest.carried("v1e", "up1", asked), 4))
            assert self._guest.carried("up1", "v1e", answered)[-6:] == answered[-6:]
        return left

    def sources(self) -> set[str]:
        """Do the same; return the Ethernet addresses that it leaves from, inside."""
        return {frame[50:56].hex(":") for frame in self.asked()}

    def next_hops(self) -> set[str]:
        """Do the same; return the Ethernet addresses that it leaves for, outside."""
        return {frame[:6].hex(":") for frame in self.asked()}


@pytest.fixture(scope="module")
def product(machine: Running, objects: Path) -> None:
    """Bring the product, and have the kernel count packets of connections."""
    ship_product(machine, objects)
    machine.ask("echo 1 >/proc/sys/net/netfilter/nf_conntrack_acct")


def neighbour(machine: Running, address: str) -> None:
    """Have the other end of the tunnel at another Ethernet address."""
    machine.ask(f"/bin/ip neighbour replace {THERE} lladdr {address} dev up0 nud permanent")


def filters(machine: Running) -> str:
    return machine.ask("for each in v1 up0; do /sbin/tc filter show dev $each ingress; done")


@pytest.mark.usefixtures("product")
def test_the_agent_in_front_of_the_kernels_datapath(
    switch: KernelSwitch, machine: Running, guest: InGuest
) -> None:
    """It learns through the tunnel, does what Open vSwitch does alone, obeys, and leaves no trace."""
    switch.rules(RULES, THERE)
    talk = Talk(guest)
    alone = talk.asked()
    with guest_agent(machine, guest, *AGENT) as agent:
        assert machine.ask(f"cat {INVALID_RST}") == "1\n"
        learned = agent.until(lambda now: now["entries"] == 4, talk.asked)
        assert (learned["datapath"], learned["samples"]) == ("system@ovs-system", False)
        others = []
        agent.until(
            lambda now: now["packets"] >= learned["packets"] + 20,
            lambda: others.append(talk.asked()),
        )
        assert others == [alone] * len(others)
        switch.ask(f"ovs-ofctl --strict mod-flows br-int '{RULES[3].replace(':07', ':08')}'")
        wait_until(lambda: talk.sources() == {"02:00:00:00:00:08"}, LEASE_S, lambda: agent.log)
        since, sources = agent.status()["packets"], set()
        agent.until(
            lambda now: now["packets"] >= since + 20, lambda: sources.update(talk.sources())
        )
        assert sources == {"02:00:00:00:00:08"}
        neighbour(machine, "02:00:00:00:00:77")
        wait_until(lambda: talk.next_hops() == {"02:00:00:00:00:77"}, LEASE_S, lambda: agent.log)
        since, hops = agent.status()["packets"], set()
        agent.until(lambda now: now["packets"] >= since + 20, lambda: hops.update(talk.next_hops()))
        assert hops == {"02:00:00:00:00:77"}
        neighbour(machine, THERE_MAC)
        switch.ask("ovs-appctl dpctl/flush-conntrack")
        agent.until(lambda now: now["entries"] == 0, lambda: None)
        switch.rules(RULES, THERE)
        talk = Talk(guest)
        agent.until(lambda now: now["entries"] == 4, talk.asked)
        agent.kill("TERM")
        assert "Traceback" not in agent.log
    assert (machine.ask(f"cat {INVALID_RST}"), filters(machine)) == ("0\n", "")
    before = switch.packets()
    assert talk.asked() == alone
    assert switch.packets() >= before + 8


@pytest.mark.usefixtures("product")
def test_a_killed_agent_in_front_of_the_kernels_datapath(
    switch: KernelSwitch, machine: Running, guest: InGuest
) -> None:
    """Its entries end with their leases; the sysctl is as before once somebody says so."""
    switch.rules(RULES, THERE)
    talk = Talk(guest)
    alone = talk.asked()
    with guest_agent(machine, guest, *AGENT) as agent:
        agent.until(lambda now: now["entries"] == 4, talk.asked)
        agent.kill("KILL")
        time.sleep(LEASE_S)
        before = switch.packets()
        assert talk.asked() == alone
        assert switch.packets() >= before + 8
        assert machine.ask(f"cat {INVALID_RST}") == "1\n"
        machine.ask(f"{ENVIRONMENT}; python3.11 -m virtboost flow restore", 120)
        assert machine.ask(f"cat {INVALID_RST}") == "0\n"


@pytest.mark.parametrize("ignored", [0, 1])
def test_why_a_sysctl_is_turned(
    switch: KernelSwitch, machine: Running, guest: InGuest, ignored: int
) -> None:
    """An RST after 2 GiB that conntrack did not see is invalid, unless it does not hold them so."""
    switch.rules(RULES, THERE)
    machine.ask(f"echo {ignored} >{INVALID_RST}")
    asked, _ = conversation(guest, 4)
    guest.send("v1e", bytes(segment("R", reply=False, seq=2**31 + 10, ack=0)))
    passed = guest.carried("v1e", "up1", asked)[97] & 4
    machine.ask(f"echo 0 >{INVALID_RST}")
    assert bool(passed) == bool(ignored)
