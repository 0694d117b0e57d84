"""``virtboost flow run``, ``status`` and ``top`` as a person types them, and an agent that is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest

from support.flow_agent import VIRTBOOST, agent
from support.overlay import Overlay
from support.traffic import carried, counted, exchange

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("flow-agent")]


BROKEN = """
from msgspec.structs import replace
from virtboost.cli.main import main
from virtboost.flow.agent import compose
from virtboost.flow.entry import Rewrite

def broken(packet, datapath, right=compose.compose_both):
    both = right(packet, datapath)
    if not both.installable:
        return both
    wrong = Rewrite(name="ipv4.tos", value=0x20, mask=0xff)
    moved = replace(both.forward.transposition, rewrites=(wrong,))
    return both._replace(forward=replace(both.forward, transposition=moved))

compose.compose_both = broken
main()
"""
"""An agent whose composer is wrong: it makes packets of another class of service."""


@pytest.mark.parametrize("options", [(), ("--observe",)])
def test_the_first_packet_that_differs_ends_everything(
    made: Overlay, options: tuple[str, ...]
) -> None:
    with agent(made, *options, program=(sys.executable, "-c", BROKEN)) as running:
        with exchange(made, 4000) as one:
            found = running.until(lambda now: now.state == "quarantined")
            at = time.monotonic_ns()
            answers = one.end()
        assert "another packet than was predicted" in found.reason
        assert "QUARANTINE" in running.log
        after = running.status()
        assert (after.state, after.entries) == ("quarantined", 0)
        assert after.packets == found.packets
        assert sum(came > at for came in answers.came_ns.values()) > 500
        shown = subprocess.run(
            (*VIRTBOOST, "flow", "status", "--socket", str(running.socket)),
            capture_output=True, text=True, check=False, env=made.environment,
        )  # fmt: skip
        assert (shown.returncode, "QUARANTINED" in shown.stdout) == (1, True)


def test_it_is_asked_from_outside(made: Overlay) -> None:
    with agent(made, "--metrics", "127.0.0.1:9464") as running, exchange(made, 3000) as one:
        carried(running)
        time.sleep(1.2)
        asked = ("--socket", str(running.socket))
        flow = (*VIRTBOOST, "flow")
        assert "entries are carried out" in made.ask("switch", *flow, "status", *asked)
        assert json.loads(made.ask("switch", *flow, "status", "--json", *asked))["entries"] == 2
        assert "packets/s" in made.ask("switch", *flow, "top", *asked)
        lines = made.ask("switch", *flow, "status", "--flows", *asked).splitlines()
        assert counted(lines, "vm")[0] > 20
        fetch = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9464/metrics').read().decode())"
        page = made.ask("switch", sys.executable, "-c", fetch)
        assert re.search(r"^virtboost_flow_entries 2$", page, re.MULTILINE)
        one.end()


WRONG = {
    "no port": ((), "--ports"),
    "no name": (("--ports", ","), "names of devices"),
    "another policy": (("--ports", "a", "--tcp-window", "loose"), "strict or liberal"),
    "no port of TCP": (("--ports", "a", "--metrics", "here"), "127.0.0.1:9464"),
}


@pytest.mark.parametrize(("words", "problem"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line(made: Overlay, words: tuple[str, ...], problem: str) -> None:
    done = subprocess.run(
        (*VIRTBOOST, "flow", "run", *words), capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, problem in done.stderr) == (2, True)


def test_a_second_agent_is_refused(made: Overlay) -> None:
    with agent(made) as running:
        words = ("run", "--ovs", str(made.run), "--ports", "vm", "--socket", str(running.socket))
        done = flow(made, *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "another agent runs" in done.stderr
        assert running.status().state == "open"


def flow(made: Overlay, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        made.inside("switch", *VIRTBOOST, "flow", *words),
        capture_output=True, text=True, check=False, timeout=60, env=made.environment,
    )  # fmt: skip


OTHERS = {
    "checks windows": ("run", "--ports", "vm"),
    "has other ports": ("run", "--ports", "lo", "--tcp-window", "liberal"),
    "cleans up": ("restore",),
}


@pytest.mark.parametrize("words", OTHERS.values(), ids=OTHERS)
def test_nobody_turns_on_the_check_that_a_running_agent_needs_off(
    made: Overlay, words: tuple[str, ...]
) -> None:
    """Conntrack would call what passes of its connections invalid."""
    own = ("--ovs", str(made.run), "--socket", str(made.folder / "second.sock"))
    with agent(made, "--tcp-window", "liberal") as running:
        done = flow(made, *words, *(own if words[0] == "run" else ()))
        assert done.returncode == 2
        assert f"{made.run}: an agent with --tcp-window liberal runs" in done.stderr
        assert made.app("dpctl/ct-get-tcp-seq-chk").endswith("disabled")
        assert running.status().state == "open"
    assert made.app("dpctl/ct-get-tcp-seq-chk").endswith("enabled")
