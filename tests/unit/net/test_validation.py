"""Costs fitted, predictions compared, calibrations kept: by hand-made measurements."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from scapy.contrib import bgp

from support.networks import described
from virtboost.errors import InputError
from virtboost.net.emulate.outcome import Cost, Emulation, Measure, Reach, spread
from virtboost.net.figure import exact, measured
from virtboost.net.law import PAGE
from virtboost.net.simulate.cost import Costs
from virtboost.net.validate import machine, speech, work
from virtboost.net.validate.calibrate import Data, calibrated
from virtboost.net.validate.calibration import Calibration, Machine
from virtboost.net.validate.compare import Comparison, Size
from virtboost.net.validate.conclude import conclude
from virtboost.net.validate.findings import Cuts, Findings
from virtboost.net.validate.fit import Row, explained, fitted, worst
from virtboost.net.validate.order import Order, order, timers
from virtboost.net.validate.predict import Question, lateness, noticed
from virtboost.net.validate.result import Validation
from virtboost.net.validate.rung import (
    LogicalRun,
    LogicalRung,
    RuleRun,
    RuleRung,
    SpeakerRun,
    SpeakerRung,
    WatchRun,
    WatchRung,
)

TRUE = {"begin_s": 0.004, "session_s": 150e-6, "send_s": 0.5e-6, "receive_s": 4e-6, "install_s": 12e-6, "message_s": 2e-6}  # fmt: skip


def speaker(role: Any, peers: int, blocks: int = 1) -> SpeakerRun:
    """Return a run that takes exactly what ``TRUE`` says, by hand: no knee to 750 peers."""
    rung = SpeakerRung(role=role, peers=peers, blocks=blocks)
    sent = peers if role == "node" else peers * (peers - 1) * blocks
    messages = sent // blocks if role == "reflector" else sent
    installed = peers * blocks if role == "node" else 0
    cpu_s = (
        0.004
        + peers * 150e-6
        + sent * 0.5e-6
        + peers * blocks * 4e-6
        + installed * 12e-6
        + (messages + peers) * 2e-6
    )
    return SpeakerRun(
        rung=rung, up_s=1, done_s=1, cpu_s=cpu_s, memory_bytes=1e6, routes_sent=sent, messages_sent=messages,
        routes_installed=installed,
    )  # fmt: skip


GROWTH = Costs(session_knee=750, session_power=2)

LADDER = [
    speaker(role, peers, blocks)
    for role in ("node", "reflector")
    for peers in (50, 100, 200, 400)
    for blocks in (1, 10, 100)
]


def test_costs_are_found_that_made_the_measurements() -> None:
    """Beliefs are up to four times off, and hardly matter where so much was measured."""
    believed = {"begin_s": 0.01, "session_s": 500e-6, "send_s": 2e-6, "receive_s": 2.5e-6, "install_s": 30e-6, "message_s": 0.0}  # fmt: skip
    rows = [*work.climbed_cpu(LADDER, GROWTH)]
    found = fitted(rows, believed)
    for name, value in TRUE.items():
        assert found[name] == pytest.approx(value, rel=0.2), name
    assert worst(rows, found) < 0.02


def test_how_sessions_grow_is_found() -> None:
    """Twice the peers, twice the CPU of each session: with 1,000 0.3 ms, with 2,000 0.6."""
    few = [speaker("node", peers) for peers in (50, 100, 200, 400)]
    large = [
        structs.replace(speaker("node", peers), cpu_s=speaker("node", peers).cpu_s + peers * more)
        for peers, more in ((1_000, 150e-6), (2_000, 450e-6))
    ]
    data = Data(emulations=(), blocks=1, climbed=[*few, *large])
    found = calibrated(data, Costs(), lambda *_: {})
    assert (found.session_knee, found.session_power) == (500, 1)
    assert found.session(2_000) == pytest.approx(600e-6, rel=0.1)
    small = calibrated(structs.replace(data, climbed=few[:3]), Costs(), lambda *_: {})
    assert (small.session_knee, small.session_power) == (Costs().session_knee, 2)


def test_what_was_not_measured_stays_as_it_was_believed() -> None:
    found = fitted([Row({"a": 10}, 50.0)], {"a": 4.0, "b": 7.0})
    assert found["a"] == pytest.approx(5, rel=0.01)
    assert found["b"] == pytest.approx(7)
    assert fitted([], {"a": 4.0}) == {"a": pytest.approx(4)}


def test_no_cost_is_below_nothing() -> None:
    """Twice the work took half of the time: no line through both begins above zero."""
    found = fitted([Row({"a": 1, "b": 1}, 10.0), Row({"a": 1, "b": 9}, 2.0)], {"a": 1.0, "b": 1.0})
    assert min(found.values()) >= 0


def test_each_measurement_counts_in_proportion() -> None:
    """10 % off at a large value is no worse than 10 % off at a small one."""
    found = fitted([Row({"a": 1}, 1.0), Row({"a": 1000}, 1200.0)], {"a": 1.0})
    assert found["a"] == pytest.approx(1.1, rel=0.02)


def test_the_work_of_a_rung() -> None:
    """A reflector of 3 with 2 blocks each takes 6 routes in, and tells each of 4: 12 routes."""
    (row,) = work.climbed_cpu([speaker("reflector", 3, 2)], GROWTH)
    assert row.work == {
        "begin_s": 1, "session_s": 3, "send_s": 12, "receive_s": 6, "message_s": 6 + 3, "install_s": 0
    }  # fmt: skip
    (row,) = work.climbed_cpu([speaker("node", 1_500)], GROWTH)
    assert row.work["session_s"] == 1_500 * 4
    (row,) = work.climbed_cpu([speaker("node", 1_500)], structs.replace(GROWTH, session_power=1))
    assert row.work["session_s"] == 1_500 * 2


def test_rules_and_watchers_by_hand() -> None:
    rules = RuleRun(rung=RuleRung(rules=1_000), seconds=0.02, cpu_s=0.01, memory_bytes=1.3e6)
    watch = WatchRun(rung=WatchRung(watchers=20, events=50), seconds=1, cpu_s=0.11)
    assert work.rule_time([watch, rules]) == [Row({"rule_s": 1_000}, 0.02)]
    assert work.rule_memory([rules]) == [Row({"rule_bytes": 1_000}, 1.3e6)]
    assert work.watch_time([rules, watch]) == [Row({"put_s": 50, "watch_s": 1_000}, 0.11)]
    assert explained(
        work.watch_time([watch])[0], {"put_s": 2e-4, "watch_s": 1e-4}
    ) == pytest.approx(0.11)


def test_what_northd_takes_is_for_its_rows() -> None:
    """Eleven thousand rows in 0.275 s are 25 us each; two sizes that say so are believed."""
    runs = [
        LogicalRun(
            rung=LogicalRung(nodes=100, ports=20), rows=rows, rules=1, seconds=1, cpu_s=cpu_s
        )
        for rows, cpu_s in ((11_000, 0.275), (1_000, 0.025))
    ]
    costs = calibrated(Data(emulations=[], blocks=1, climbed=runs), Costs(), lambda *_: {})
    assert costs.northd_row_s == pytest.approx(25e-6, rel=0.01)


def test_an_error_is_of_the_median_that_was_measured() -> None:
    def held(kind: Any, predicted: float) -> Comparison:
        return Size(name="", runs=3).compared("", kind, predicted, spread([8.0, 10.0, 20.0]), "s")

    assert held("middle", 12.5).error == pytest.approx(0.25)
    assert held("middle", 12.5).met
    assert not held("middle", 12.6).met
    assert held("late", 6.51).met
    assert not held("late", 6.4).met
    assert held("noticed", 9.01).met
    assert not held("noticed", 8.9).met
    assert (held("cpu", 13).measured.least, held("cpu", 13).measured.most) == (8, 20)


@pytest.mark.parametrize(("predicted", "error", "met"), [(0, 0, True), (1, None, False)])
def test_what_must_be_nothing_is_exact(predicted: float, error: float | None, *, met: bool) -> None:
    found = Size(name="", runs=1).compared("", "exact", predicted, spread([0.0]))
    assert (found.error, found.met) == (error, met)


def test_a_mesh_is_taken_apart_by_what_each_cost_does_in_it() -> None:
    """Four daemons, 6 sessions of two ends, 12 routes told, taken in and installed, each a message."""
    question = Question(network=described(nodes=10), design="calico-mesh")
    assert question.shares(4, Costs()) == pytest.approx(
        {
            "begin_s": 4,
            "session_s": 12,
            "send_s": 12,
            "receive_s": 12,
            "install_s": 12,
            "message_s": 24,
        }
    )


def test_two_reflectors_are_taken_apart() -> None:
    """Three clients of two: 7 sessions. Up 6, across 6, down 12; nodes install 6 different ones."""
    question = Question(network=described(nodes=10), design="calico-reflectors")
    found = question.shares(5, Costs())
    assert (found["begin_s"], found["session_s"], found["install_s"]) == pytest.approx((5, 14, 6))
    assert found["receive_s"] == found["send_s"] == pytest.approx(6 + 6 + 12)


def test_half_notice_by_bfd_in_the_middle_of_the_last_interval() -> None:
    """Three of 500 ms may be missing, each up to a quarter early, seen up to 50 ms late."""
    bfd, _, hold = timers(described(nodes=50))
    half, late = noticed(bfd, Costs())
    assert half == pytest.approx(1.5 - 0.44 / 2 + 0.025, abs=0.02)
    assert 1.45 < late < 1.55
    half, late = noticed(hold, Costs())
    assert half == pytest.approx(0.73 * 9, rel=0.02)
    assert late < 9


def mesh(nodes: int, *, cpu: float = 1.0, memory: float = 1.0) -> Emulation:
    """Return a mesh that costs exactly what ``TRUE`` says, by hand, or so many times as much."""
    pairs = nodes * (nodes - 1)
    cpu_s = nodes * 0.004 + pairs * (150e-6 + 0.5e-6 + 4e-6 + 12e-6 + 2 * 2e-6)
    own = 800e3 + 20e3 * (nodes - 1) + 100 * nodes + 400 * nodes
    counted = {"sessions": pairs / 2, "sessions_per_node": nodes - 1, "rib_paths": nodes, "fib_routes": nodes}  # fmt: skip
    measures = {
        key: Measure(expected=exact(value), measured=spread([value]))
        for key, value in counted.items()
    }
    measures["bird_memory"] = Measure(expected=measured(own, own, own), measured=spread([own * memory]))  # fmt: skip
    return Emulation(
        design="calico-mesh", nodes=nodes, reflectors=0, described_nodes=1000, converged=spread([1.0] * nodes),
        measures=measures, updates=pairs, reach=Reach(sent=pairs, arrived=pairs), faults=(),
        cost=Cost(setup_s=0, spawn_s=0.001, daemon_cpu_s=cpu_s * cpu, reflector_cpu_s=0, harness_cpu_s=0, busy_ratio=0.1),
    )  # fmt: skip


NOTICED = (1.1, 1.2, 1.25, 1.3, 1.3, 1.35, 1.4, 1.45, 1.5)


def concluded(*held_out: Emulation, noticed_s: tuple[float, ...] = NOTICED) -> Validation:
    bfd, *_ = timers(described())
    found = Findings(
        emulations=(mesh(10), mesh(20), *held_out),
        cuts=(Cuts(detection=bfd, nodes=10, noticed_s=noticed_s, trials=1, problems=()),),
        climbed=(),
        rejected=(),
    )
    return conclude(ordered(), described(), found, HERE, "")


def test_a_size_that_was_held_out_is_predicted_and_not_fitted() -> None:
    """Its median is a third above what the smaller ones say, so 25 % less than it is predicted."""
    found = concluded(mesh(40), mesh(40, cpu=4 / 3, memory=1.05), mesh(40, cpu=2, memory=1.3))
    rows = {row.what: row for row in found.comparisons}
    cpu, memory = rows["CPU of all BIRDs"], rows["memory of a node's BIRD"]
    assert cpu.error == pytest.approx(-0.25, abs=0.03)
    assert memory.error == pytest.approx(1 / 1.05 - 1, abs=0.02)
    assert (cpu.runs, cpu.met, memory.met) == (3, True, True)
    assert rows["routes in kernels, simulated"].predicted == 40 * 39
    assert rows["sessions, simulated"].predicted == 780
    assert found.stretch == 25
    assert found.calibration.nodes == 40


def test_a_goal_that_is_missed_is_no_good() -> None:
    good = concluded(mesh(40))
    assert [row.what for row in good.comparisons if not row.met] == []
    rows = {row.what: row for row in concluded(mesh(40, cpu=1.5)).comparisons}
    assert not rows["CPU of all BIRDs"].met


def test_nodes_that_did_not_notice_are_a_problem() -> None:
    assert concluded(mesh(40)).problems == ()
    few = concluded(mesh(40), noticed_s=(1.3, 1.4))
    assert few.problems == ("cut, BFD 3 x 500 ms: 7 nodes did not notice",)
    assert (few.good, few.exact) == (False, True)
    assert not any("noticed" in row.what for row in few.comparisons)


def test_how_late_bfd_is_comes_from_its_fastest_timers() -> None:
    """Prompt BFD of 3 x 100 ms notices after 255.7 ms on average: the age of an interval of 75 to
    100 ms at a random moment is 44 ms.  Seen 10 ms later, so up to 20 ms late."""
    _, fast, _ = timers(described())
    assert lateness(fast, [0.2657] * 4) == pytest.approx(0.02, abs=0.001)
    assert lateness(fast, [0.2]) == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sizes": "10,x"}, r"^--sizes 10,x: numbers of nodes with commas between$"),
        ({"sizes": "10,10"}, r"^--sizes 10,10: two at least"),
        ({"sizes": "2,10"}, r"^2 nodes: calico-mesh can be run with 3 to 1000$"),
        ({"hold_out": 2000}, r"^2000 nodes: calico-mesh can be run with 3 to 1000$"),
        ({"hold_out": 20}, r"^--hold-out 20: must be more than the 20 of --sizes$"),
        ({"repeats": 0}, r"^--repeats: from 1 to 100$"),
        ({"design": "calico-tor"}, r"^--design calico-tor: can be run: calico-mesh"),
    ],
)
def test_what_cannot_be_validated(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        ordered(**changes)


def ordered(**changes: Any) -> Order:
    asked: dict[str, Any] = {"design": "calico-mesh", "sizes": "20,10", "hold_out": 40, "repeats": 1, "ladder": False}  # fmt: skip
    return order(described(), **(asked | changes))


def test_sizes_are_in_order() -> None:
    assert ordered().sizes == (10, 20)


HERE = Machine(cpu="a CPU", cpus=2, architecture="x86_64", system="Debian", kernel="6.1", bird="2.0.12")  # fmt: skip

MADE = Calibration(
    machine=HERE, made_at="2026-01-01T00:00:00+00:00", nodes=80, peers=500, watchers=0, rules=0, rows=0, memory_error=0.03,
    cpu_error=0.2, costs=Costs(memory_bytes=1e6, peer_bytes=2e4, path_bytes=100, origin_bytes=400, send_s=1e-6, message_s=2e-6,
    receive_s=3e-6, install_s=10e-6, session_s=1e-4, session_knee=500, session_power=2),
)  # fmt: skip


def test_a_calibration_takes_the_place_of_laws() -> None:
    """A route is sent, taken in and installed, with a message at both ends: 18 us."""
    laws = MADE.laws
    memory = laws.bird_memory(100, 1_000, 100)
    assert memory.value == 1e6 + 100 * 2e4 + 1_000 * 100 + 100 * 400
    assert memory.low == pytest.approx(memory.value * 0.97)
    assert memory.sources == ("calibration",)
    delivered = laws.deliver_cpu(1_000)
    assert (delivered.low, delivered.value) == pytest.approx((0.0144, 0.018))
    assert laws.session_cpu(400).value == pytest.approx(0.04)
    assert laws.session_cpu(1_000).value == pytest.approx(0.4)
    assert laws.session_cpu(1_000).tag == "extrapolated"
    assert (laws.watch_cpu, laws.rule_bytes) == (PAGE.watch_cpu, PAGE.rule_bytes)
    climbed = structs.replace(MADE, watchers=500, rules=200_000, rows=11_000).laws
    assert climbed.watch_cpu.value == MADE.costs.watch_s
    assert climbed.rule_bytes.sources == ("calibration",)
    assert climbed.northd_row_cpu.value == MADE.costs.northd_row_s


def test_a_calibration_is_kept_for_this_machine_only(tmp_path: Path) -> None:
    assert machine.kept(tmp_path) is None
    machine.save(tmp_path, MADE)
    assert machine.kept(tmp_path) is None
    own = structs.replace(MADE, machine=machine.this_machine())
    path = machine.save(tmp_path / "new", own)
    assert machine.kept(tmp_path / "new") == own
    path.write_text("{}")
    with pytest.raises(InputError, match=r"net-[0-9a-f]{12}\.json: no calibration: .*measure anew"):
        machine.kept(tmp_path / "new")


def test_a_speaker_says_what_another_program_reads() -> None:
    """scapy reads what a synthetic peer sends, and sends what it reads."""
    own = IPv4Address("172.16.0.2")
    blocks = (IPv4Network("10.0.0.64/26"), IPv4Network("10.1.0.0/16"))
    opening = bgp.BGPHeader(speech.opening(own, 64512, 240))
    assert (opening.type, opening.my_as, opening.hold_time, opening.bgp_id) == (
        1,
        64512,
        240,
        str(own),
    )
    update = bgp.BGPHeader(speech.announcement(own, blocks))
    assert [each.prefix for each in update.nlri] == ["10.0.0.64/26", "10.1.0.0/16"]
    assert {each.attribute.next_hop for each in update.path_attr if each.type_code == 3} == {
        str(own)
    }
    buffer = bytearray(bytes(update) + bytes(bgp.BGPHeader(type=4)) + b"\xff" * 5)
    (first, body), (second, rest) = speech.messages(buffer)
    assert (first, speech.announced(body), second, rest, len(buffer)) == (2, 2, 4, b"", 5)


@pytest.mark.parametrize("wrong", [b"\x00" * 19, b"\xff" * 16 + b"\x00\x12\x04"])
def test_what_is_no_message_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="not a message of BGP"):
        list(speech.messages(bytearray(wrong)))


def test_spread_of_repeats() -> None:
    assert spread([3.0]).median == 3


def test_a_cost_that_is_known_is_not_fitted() -> None:
    """10 of one and 5 of another that takes 2 took 60: the one takes 5."""
    found = fitted([Row({"a": 10, "b": 5}, 60.0)], {"a": 4.0}, {"b": 2.0})
    assert found == {"a": pytest.approx(5, rel=0.01)}


def switches(nodes: int, *, cpu: float = 1.0, memory: float = 1.0) -> Emulation:
    """Return switches by hand: 0.1 s each and 20 us for each of 150 + 2 a peer rules; 12 MB each, 1,340
    bytes a rule and 60 kB a tunnel.  Nodes begin in turn, every 5 ms of the CPUs, and share two."""
    rules, tunnels = 150 + 2 * (nodes - 1), nodes - 1
    own = 12e6 + 1_340 * rules + 60e3 * tunnels
    cpu_s = nodes * (0.1 + 20e-6 * rules) * cpu
    counted = {"openflow_rules": rules, "tunnels_per_node": tunnels}
    measures = {
        key: Measure(expected=exact(value), measured=spread([value]))
        for key, value in counted.items()
    }
    measures["switch_memory"] = Measure(expected=measured(own, own, own), measured=spread([own * memory]))  # fmt: skip
    return Emulation(
        design="ovs-vxlan", nodes=nodes, reflectors=0, described_nodes=400, converged=spread([cpu_s / 2] * nodes),
        measures=measures, updates=0, reach=Reach(sent=1, arrived=1), faults=(),
        cost=Cost(setup_s=0, spawn_s=0.01, daemon_cpu_s=cpu_s, reflector_cpu_s=0, harness_cpu_s=nodes * 0.001, busy_ratio=1),
    )  # fmt: skip


def of_tunnels(*held_out: Emulation) -> Validation:
    found = Findings(
        emulations=(switches(5), switches(10), *held_out), cuts=(), climbed=(), rejected=()
    )
    asked = order(
        described(), design="ovs-vxlan", sizes="5,10", hold_out=30, repeats=1, ladder=False
    )
    return conclude(asked, described(), found, HERE, "now")


def test_a_network_of_tunnels_is_predicted_by_smaller_ones() -> None:
    """Half as much CPU again and a fifth more memory than the smaller ones say is too much; the time is
    that of the CPUs, which nearly all nodes need to the end."""
    good = {row.what: row for row in of_tunnels(switches(30)).comparisons}
    assert all(row.met for row in good.values())
    assert good["OpenFlow rules of a node"].predicted == 208
    assert good["CPU of all daemons"].error == pytest.approx(0, abs=0.02)
    assert good["memory of a node's ovs-vswitchd"].error == pytest.approx(0, abs=0.04)
    assert good["95 % of nodes are ready"].error == pytest.approx(0, abs=0.05)
    more = {row.what: row for row in of_tunnels(switches(30, cpu=1.5, memory=1.2)).comparisons}
    assert more["CPU of all daemons"].error == pytest.approx(-1 / 3, abs=0.02)
    assert [row.what for row in more.values() if not row.met] == [
        "memory of a node's ovs-vswitchd",
        "CPU of all daemons",
        "50 % of nodes are ready",
    ]


def test_what_one_validation_told_another_does_not_lose() -> None:
    """Costs of BGP are those of before, of switches the new ones; of the design before, the same."""
    new = of_tunnels(switches(30)).calibration
    assert (new.nodes, new.laws.bird_bytes) == (0, PAGE.bird_bytes)
    both = new.beside(MADE)
    assert both.costs.switch_s == pytest.approx(0.1, rel=0.02)
    assert both.costs.session_s == MADE.costs.session_s
    assert (both.nodes, both.peers, both.made_at) == (80, 500, "now")
    assert both.laws.bird_bytes == 1e6
    assert both.tunnels == {"ovs-vxlan": new.tunnels["ovs-vxlan"]}
    again = structs.replace(MADE, rules=200_000).beside(both)
    assert (again.costs.switch_s, again.rules) == (both.costs.switch_s, 200_000)
    assert again.tunnels == both.tunnels
    newer = structs.replace(MADE, machine=structs.replace(HERE, kernel="6.2"))
    assert newer.beside(both) == newer


def test_a_calibration_is_kept_beside_the_one_before(tmp_path: Path) -> None:
    machine.save(tmp_path, MADE)
    path = machine.save(tmp_path, of_tunnels(switches(30)).calibration)
    found = json.loads(path.read_text())
    assert (found["peers"], [*found["tunnels"]]) == (500, ["ovs-vxlan"])
    path.write_text("{}")
    machine.save(tmp_path, MADE)
    assert json.loads(path.read_text())["tunnels"] == {}
