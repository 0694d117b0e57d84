"""The agent in front of a real ovs-vswitchd: what is carried, counted, and left alone in time."""

from __future__ import annotations

import json
import re
import signal
import time
from contextlib import ExitStack

import pytest

from support.daemon import wait_until
from support.flow_agent import VIRTBOOST, agent
from support.overlay import RULES, SERVER, Overlay, addressed, daemon
from support.traffic import Answers, carried, counted, exchange, streaming

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("flow-agent")]

LEASE_S = 0.5


def test_datagrams_are_carried_and_every_one_is_counted(made: Overlay) -> None:
    with agent(made) as running:
        with exchange(made, 300, 2) as first:
            carried(running)
            first.end()
        with exchange(made, 2000) as second:
            at = running.status()
            answers = second.end()
        after = running.status()
        assert sorted(answers.answered) == list(range(2000)), after
        assert after.packets - at.packets > 2000
        assert after.verified.keys() <= {"same"}
        assert after.refused.keys() <= {"R11", "R12", "R18"}


def test_counts_of_both_add_up_to_what_was_sent(made: Overlay) -> None:
    """Each datagram of 100 bytes is a frame of 142 at vm, and one of 192 at the uplink when it comes back."""
    with agent(made) as running:
        with exchange(made, 200, 2) as warm:
            carried(running)
            warm.end()
        before = running.flows()
        with exchange(made, 3000, 0.5) as running_now:
            answers = running_now.end()
        after = running.flows()
        assert sorted(answers.answered) == list(range(3000))
        for port, frame in (("vm", 142), ("uplink", 192)):
            (packets, size), (packets_now, size_now) = (
                counted(lines, port) for lines in (before, after)
            )
            assert (packets_now - packets, size_now - size) == (3000, 3000 * frame)
        taken = running.status().packets
        assert taken > 5000
        kept = counted(made.app("dpctl/dump-flows", "-m").splitlines(), "vm")[0]
        assert kept < counted(after, "vm")[0] - 2000


def window_check(made: Overlay) -> str:
    return made.app("dpctl/ct-get-tcp-seq-chk").rpartition(" ")[2]


def invalid(made: Overlay) -> int:
    """Return how many segments conntrack found outside their window."""
    text = made.app("coverage/read-counter", "conntrack_tcp_seq_chk_failed")
    return int(text)


LIBERAL = ("--tcp-window", "liberal")


def tcp_states(made: Overlay) -> list[tuple[str, str]]:
    connections = made.app("dpctl/dump-conntrack", "-m")
    return re.findall(r"tcp,.*state_orig=(\w+),state_reply=(\w+)", connections)


def test_a_stream_is_carried_and_ends_as_it_would(made: Overlay) -> None:
    with streaming(made, 0.5) as plain:
        plain.assert_whole()
    wanted = tcp_states(made)
    assert len(wanted) == 1
    made.app("dpctl/flush-conntrack")
    with agent(made, *LIBERAL) as running:
        assert window_check(made) == "disabled"
        with streaming(made, 2) as one:
            carried(running)
            one.assert_whole()
        wait_until(
            lambda: tcp_states(made) == wanted, 5, lambda: f"{tcp_states(made)}: not {wanted}"
        )
        found = running.until(lambda now: now.entries == 0)
        assert found.packets > 300
        assert found.passes["SYN, FIN or RST"] >= 2
    assert running.process.returncode == 0
    assert window_check(made) == "enabled"


def test_a_stream_outlives_the_agent(made: Overlay) -> None:
    """More than conntrack's 67,035 bytes went past it, and its check is on again before the end."""
    before = invalid(made)
    with streaming(made, 4) as one:
        with agent(made, *LIBERAL) as running:
            carried(running)
            running.until(lambda now: now.bytes > 10_000_000)
            assert running.stop() == 0
        assert window_check(made) == "enabled"
        assert "sent nothing" not in running.log
        one.assert_whole()
    assert invalid(made) == before


def test_strict_leaves_tracked_tcp_alone(made: Overlay) -> None:
    with agent(made) as running, streaming(made, 2) as one:
        found = running.until(lambda now: any("window" in why for why in now.refused))
        assert (found.entries, window_check(made)) == (0, "enabled")
        one.assert_whole()


def xdp(made: Overlay) -> list[str]:
    """Return the ports of the switch that have a program."""
    links = json.loads(made.ask("switch", "ip", "-json", "link"))
    return sorted(link["ifname"] for link in links if "xdp" in link)


def test_a_killed_agent_leaves_nothing_in_the_way(made: Overlay) -> None:
    with streaming(made, 12) as one, agent(made, *LIBERAL) as running:
        running.until(lambda now: now.bytes > 10_000_000)
        assert xdp(made) == ["uplink", "vm"]
        running.stop(signal.SIGKILL)
        wait_until(lambda: xdp(made) == [], 5, lambda: "programs stay")
        assert window_check(made) == "disabled"
        before = invalid(made)
        made.ask("switch", *VIRTBOOST, "flow", "restore")
        assert window_check(made) == "enabled"
        one.assert_whole()
        assert invalid(made) == before


def test_undo_turns_the_check_on_again(made: Overlay) -> None:
    with agent(made, *LIBERAL) as running:
        running.stop(signal.SIGKILL)
    assert "tcp-window-check" in made.ask("switch", *VIRTBOOST, "status")
    made.ask("switch", *VIRTBOOST, "undo")
    assert window_check(made) == "enabled"


def test_strict_turns_the_check_on_again_that_a_killed_one_left_off(made: Overlay) -> None:
    with agent(made, *LIBERAL) as running:
        running.stop(signal.SIGKILL)
    assert window_check(made) == "disabled"
    with agent(made):
        assert window_check(made) == "enabled"


def test_the_next_start_takes_over_what_a_killed_one_left(made: Overlay) -> None:
    with agent(made, *LIBERAL) as running:
        running.stop(signal.SIGKILL)
    with agent(made, *LIBERAL) as running:
        assert window_check(made) == "disabled"
        assert running.stop() == 0
    assert window_check(made) == "enabled"
    assert "nothing is changed" in made.ask("switch", *VIRTBOOST, "status")


def test_a_check_that_somebody_turns_on_is_turned_off_again(made: Overlay) -> None:
    with streaming(made, 4) as one, agent(made, *LIBERAL) as running:
        carried(running)
        before = invalid(made)
        made.app("dpctl/ct-enable-tcp-seq-chk")
        wait_until(lambda: window_check(made) == "disabled", 5, lambda: running.log)
        wait_until(lambda: "somebody turned" in running.log, 5, lambda: running.log)
        one.assert_whole()
        assert invalid(made) == before
        assert running.stop() == 0
    assert window_check(made) == "enabled"


def test_a_database_that_restarts_is_heard_again(made: Overlay) -> None:
    """Open vSwitch itself forwards nothing for a while when it finds its database again."""
    control = ("switch", "ovs-appctl", "--timeout=20", "-t", f"{made.run}/ovsdb-server.ctl")
    remote = f"punix:{made.run}/db.sock"
    with agent(made) as running, exchange(made, 9000):
        carried(running)
        made.ask(*control, "ovsdb-server/remove-remote", remote)
        running.until(lambda now: now.state == "waiting")
        made.ask(*control, "ovsdb-server/add-remote", remote)
        running.until(lambda now: now.state == "open" and now.entries == 2)
        made.vs("set", "bridge", "br-int", "other_config:virtboost=1")
        running.until(lambda now: now.closed.get("configuration", 0) >= 2)


def test_observing_redirects_nothing(made: Overlay) -> None:
    with agent(made, "--observe") as running:
        before = counted(running.flows(), "vm")[0]
        with exchange(made, 2000) as one:
            carried(running)
            assert sorted(one.end().answered) == list(range(2000))
        found = running.status()
        assert found.passes["would have been taken: --observe"] == found.packets > 1000
        own = counted(made.app("dpctl/dump-flows", "-m").splitlines(), "vm")[0]
        assert own - before >= 1990  # the first of a megaflow are in no dump
        assert found.verified.get("same", 0) >= 1
        assert found.verified.keys() == {"same"}


def last_after(answers: Answers, changed_ns: int) -> float:
    """Return how many seconds after a change the last datagram came."""
    return (max(answers.came_ns.values()) - changed_ns) / 1e9


def test_a_changed_rule_holds_at_once(made: Overlay) -> None:
    """Bound: the lease.  Typical is what ``make bench-flow`` measures."""
    with agent(made) as running, exchange(made, 3000) as one:
        carried(running)
        made.rule("add-flow", f"table=1,priority=40000,udp,nw_dst={SERVER},actions=drop")
        changed_ns = time.monotonic_ns()
        answers = one.end()
        assert last_after(answers, changed_ns) < LEASE_S
        assert running.status().closed["rules of br-int"] >= 1


def test_forgotten_connections_are_not_carried(made: Overlay) -> None:
    """New connections are dropped by now: when conntrack forgets the old one, its packets end."""
    with agent(made) as running, exchange(made, 3000) as one:
        carried(running)
        made.rule("del-flows", "table=1,ct_state=+new+trk,ip,in_port=1")
        time.sleep(0.3)
        running.until(lambda now: now.entries == 2 and now.state == "open")
        made.app("dpctl/flush-conntrack")
        changed_ns = time.monotonic_ns()
        answers = one.end()
        assert len(answers.answered) > 300
        assert last_after(answers, changed_ns) < LEASE_S


def test_a_deleted_port_is_left_alone_and_taken_again(made: Overlay) -> None:
    with agent(made) as running, exchange(made, 5000) as one:
        carried(running)
        made.vs("del-port", "br-int", "vm")
        changed_ns = time.monotonic_ns()
        gone = running.until(lambda now: now.ports == ("uplink",) and now.state == "open")
        assert gone.entries == 0
        time.sleep(1)
        again_ns = time.monotonic_ns()
        made.vs("add-port", "br-int", "vm", "--", "set", "interface", "vm", "ofport_request=1")
        running.until(lambda now: now.entries == 2 and now.state == "open")
        answers = one.end()
        between = [at for at in answers.came_ns.values() if changed_ns < at < again_ns]
        assert (max(between, default=changed_ns) - changed_ns) / 1e9 < LEASE_S
        assert max(answers.answered) > 4900


def test_an_open_vswitch_that_restarts_is_found_again(made: Overlay) -> None:
    """The mount of the daemon is the module's: it is stopped by its PID, and another is started."""
    pid = int((made.run / "ovs-vswitchd.pid").read_text())
    with agent(made, *LIBERAL) as running, ExitStack() as stack:
        made.ask("switch", "kill", str(pid))
        running.until(lambda now: now.state == "waiting")
        stack.enter_context(daemon(made))
        addressed(made)
        made.rules(RULES)
        running.until(lambda now: now.state == "open")
        assert window_check(made) == "disabled"
        with streaming(made, 2) as one:
            carried(running)
            one.assert_whole()
        assert running.stop() == 0
        assert window_check(made) == "enabled"
        made.restarted.enter_context(stack.pop_all())


def test_a_stopped_agent_does_not_stop_rules(made: Overlay) -> None:
    with agent(made) as running, exchange(made, 6000) as one:
        carried(running)
        running.process.send_signal(signal.SIGSTOP)
        try:
            made.rule("add-flow", f"table=1,priority=40000,udp,nw_dst={SERVER},actions=drop")
            changed_ns = time.monotonic_ns()
            time.sleep(2)
            again_ns = time.monotonic_ns()
            made.rule("del-flows", f"table=1,udp,nw_dst={SERVER}")
            time.sleep(1)
        finally:
            running.process.send_signal(signal.SIGCONT)
        answers = one.end()
        between = [at for at in answers.came_ns.values() if changed_ns < at < again_ns]
        assert (max(between, default=changed_ns) - changed_ns) / 1e9 < LEASE_S
        assert sum(again_ns < at < again_ns + 9e8 for at in answers.came_ns.values()) > 500
        assert running.status().passes["the lease is over"] > 500


def test_what_open_vswitch_would_forget_stays(made: Overlay) -> None:
    """Megaflows are forgotten after 10 s without a packet, connections of UDP after 30 s."""
    with agent(made) as running, exchange(made, 3600, 10) as one:
        carried(running)
        time.sleep(33)
        found = running.status()
        assert (found.entries, found.removed) == (2, 0), found
        assert sorted(one.end().answered) == list(range(3600))
        assert found.packets > 0.97 * 2 * 3300


def test_what_a_port_would_drop_is_not_redirected_there(made: Overlay) -> None:
    """The client's end takes redirected frames as long as it has GRO on."""
    with agent(made) as running, exchange(made, 5000) as one:
        carried(running)
        made.ask("client", "ethtool", "-K", "eth0", "gro", "off")
        running.until(lambda now: now.entries == 0 and now.state == "open")
        assert "vm: the kernel would drop" in running.log
        before = running.status().packets
        time.sleep(0.5)
        assert running.status().packets == before
        made.ask("client", "ethtool", "-K", "eth0", "gro", "on")
        running.until(lambda now: now.entries == 2 and now.state == "open")
        lost = 5000 - len(one.end().answered)
        assert lost < 1000 * LEASE_S


def test_a_port_that_is_shaped_is_left_to_open_vswitch(made: Overlay) -> None:
    """XDP would send past what limits the rate of the client's port.

    The kernel itself drops what goes out while a discipline is exchanged: without an agent 0 to 5
    of 1,500 in twenty exchanges.
    """
    shaped = ("switch", "tc", "qdisc", "add", "dev", "vm", "root", "tbf")
    with agent(made) as running, exchange(made, 5000) as one:
        carried(running)
        made.ask(*shaped, "rate", "1gbit", "burst", "1m", "latency", "50ms")
        try:
            running.until(lambda now: now.entries == 0 and now.state == "open")
            assert "vm: left to Open vSwitch: XDP sends past tbf" in running.log
        finally:
            made.ask("switch", "tc", "qdisc", "del", "dev", "vm", "root")
        running.until(lambda now: now.entries == 2 and now.state == "open")
        assert len(one.end().answered) > 4980


def test_an_mtu_is_followed(made: Overlay) -> None:
    """A frame that a port is too small for by now is left to Open vSwitch, which drops it."""
    with agent(made) as running, exchange(made, 3000, size=1200) as one:
        carried(running)
        made.ask("switch", "ip", "link", "set", "uplink", "mtu", "1000")
        try:
            running.until(lambda now: any("longer than the MTU" in why for why in now.passes))
        finally:
            made.ask("switch", "ip", "link", "set", "uplink", "mtu", "1500")
        running.until(lambda now: now.entries == 2 and now.state == "open")
        assert max(one.end().answered) == 2999
