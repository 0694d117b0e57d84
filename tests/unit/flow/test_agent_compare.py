"""Samples: what left Open vSwitch beside what was predicted, on frames made by hand."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from support.bpf import PORTS
from support.daemon import wait_until
from support.namespace import inside, namespace, pair
from support.pipeline import over_vxlan
from support.pipelines import PUSH
from virtboost.flow.agent import verify
from virtboost.flow.agent.compare import Frame, Result, compare, is_comparable
from virtboost.flow.agent.table import Counted, Side
from virtboost.flow.agent.verify import ABSENT_MOST, Sample, Verifier
from virtboost.flow.compose import compose
from virtboost.flow.datapath import Datapath
from virtboost.flow.encode import encode
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.megaflow import read_flows
from virtboost.flow.packet import packet_from_bytes


def frame(
    *,
    source: str = "10.0.0.1",
    number: int = 7,
    ttl: int = 64,
    data: bytes = b"data",
    port: int = 1,
) -> bytes:
    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    network = IP(src=source, dst="10.0.0.2", id=number, ttl=ttl)
    return bytes(ether / network / UDP(sport=port, dport=2) / data)


def side_of(actions: str) -> Side:
    line = (
        "recirc_id(0),in_port(v1),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,ttl=64,"
        f"frag=no),udp(src=1,dst=2), packets:0, bytes:0, used:never, actions:{actions}"
    )
    entry = compose(packet_from_bytes(frame(), "v1"), Datapath(read_flows([line], "flows")))
    assert isinstance(entry, IntegratedEntry), entry
    made = encode(entry, PORTS, epoch=1, lease_ns=1, slot=0, peer=0)
    return Side(entry=entry, encoded=made, flows=(), others=(), counted=Counted())


NAT = "set(ipv4(src=10.9.9.9,ttl=63)),set(udp(src=5)),v2"

SENT = frame(source="10.9.9.9", ttl=63, port=5)
"""With the checksums of scapy."""


@pytest.mark.parametrize(
    ("came", "left", "result"),
    [
        ([], [], None),
        ([frame(ttl=9)], [("v2", frame(ttl=8))], None),
        ([frame()], [("v2", SENT)], "same"),
        ([frame()], [], "absent"),
        ([frame()], [("v2", frame(source="10.9.9.9", number=8, ttl=63, port=5))], "absent"),
        ([frame()], [("v2", frame(source="10.9.9.8", ttl=63, port=5))], "different"),
        ([frame()], [("v2", frame(ttl=63))], "different"),
        ([frame()], [("p0", SENT)], "different"),
        ([frame(), frame(ttl=9)], [("v2", frame(ttl=8))], None),
    ],
    ids=[
        "nothing", "none of the entry's", "same", "absent", "another packet", "another address",
        "not translated", "another port", "two that nothing tells apart",
    ],
)  # fmt: skip
def test_compare(came: list[bytes], left: list[tuple[str, bytes]], result: Result | None) -> None:
    frames = [Frame("v1", data) for data in came]
    assert compare(side_of(NAT), frames, [Frame(*each) for each in left]) == result


@pytest.mark.parametrize(("port", "result"), [(40000, "same"), (50000, "same")])
def test_the_outer_source_port_is_each_datapaths_own(port: int, result: Result) -> None:
    outer = over_vxlan(Ether(frame()))
    outer[UDP].sport = port
    turned = Ether(bytes(outer))
    turned.src, turned.dst = "aa:55:aa:55:00:00", "f8:bc:12:44:34:b6"
    turned[IP].src, turned[IP].dst = "1.1.2.88", "1.1.2.92"
    del turned[IP].chksum
    left = [Frame("p0", bytes(turned))]
    assert compare(side_of(f"{PUSH},p0"), [Frame("v1", frame())], left) == result


def tagged(data: bytes) -> bytes:
    ether = Ether(data)
    return bytes(Ether(src=ether.src, dst=ether.dst) / Dot1Q(vlan=42, prio=3) / ether.payload)


def test_tags_are_compared() -> None:
    """A frame with a tag is none of an entry for those without."""
    side = side_of("push_vlan(vid=42,pcp=3),v2")
    for left, result in ((tagged(frame()), "same"), (frame(), "different")):
        assert compare(side, [Frame("v1", frame())], [Frame("v2", left)]) == result
    assert compare(side, [Frame("v1", tagged(frame()))], [Frame("v2", tagged(frame()))]) is None


def test_what_is_dropped_is_not_compared() -> None:
    assert is_comparable(side_of(NAT))
    assert not is_comparable(side_of("drop"))


@pytest.mark.needs_root
def test_a_sample_sees_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes a tag off and tells it beside the frame."""
    seen: list[Frame] = []
    monkeypatch.setattr(verify, "compare", lambda _, came, left: seen.extend((*came, *left)))
    with namespace() as pid:
        name = f"vs{os.getpid()}"
        pair(pid, f"{name}p", os.getpid(), name)
        sample = Sample(side_of(NAT), (name,))
        with inside(pid), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((f"{name}p", 0))
            for each in (frame(), tagged(frame())):
                sender.send(each)
        received = Path(f"/sys/class/net/{name}/statistics/rx_packets")
        wait_until(lambda: int(received.read_text()) >= 2, 10, lambda: "no frame comes")
        sample.result()
    assert [each.data for each in seen if each.data[6:12] == frame()[6:12]] == [
        frame(),
        tagged(frame()),
    ]


class Taken:
    """A sample with a result of the test's."""

    end_ns = 0

    def __init__(self, side: Side, result: Result | None) -> None:
        self.side = side
        self._result = result

    def read(self) -> None:
        pass

    def result(self) -> Result | None:
        return self._result


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> object:
    verifier, side = Verifier(), side_of(NAT)

    def judge(*results: Result | None) -> list[bool]:
        wrong = []
        for result in results:
            monkeypatch.setattr(verify, "Sample", lambda of, _, result=result: Taken(of, result))
            verifier.begin(side, ())
            wrong.append(verifier.step(1) is not None)
        return wrong

    return judge


def test_the_first_that_differs_is_wrong(judged: object) -> None:
    assert judged("same", None, "different") == [False, False, True]  # type: ignore[operator]


def test_absence_is_wrong_when_nothing_ever_leaves(judged: object) -> None:
    """One may be lost by overload: so may seven in a row."""
    few: list[Result] = ["absent"] * (ABSENT_MOST - 1)
    assert judged(*few, "same", *few, None, "absent") == (  # type: ignore[operator]
        [False] * len(few) + [False] + [False] * len(few) + [False, True]
    )
