"""``virtboost flow`` as a person types it: files, a running switch, and the real tc."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.utils import wrpcap

from support.cases import CASES
from support.daemon import need
from support.pipeline import Pipeline, over_vxlan, pipeline, segment, veth_bridge
from support.sshd import serving, virtboost, with_home

FOLDER = CASES / "flow"

DUMPS = (
    *("--flows", str(FOLDER / "vxlan-ct-3.1.flows")),
    *("--connections", str(FOLDER / "vxlan-ct-3.1.connections")),
)

TCP = "in_port=v1,eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6),tcp(src=1000,dst=80)"

RULES = (
    "priority=100,ip,ct_state=-trk,actions=ct(table=1,zone=7)",
    "table=1,ct_state=+new+trk,ip,in_port=1,actions=ct(commit,zone=7),output:3",
    "table=1,ct_state=+est+trk,ip,in_port=1,actions=output:3",
    "table=1,ct_state=+est+trk,ip,in_port=3,actions=dec_ttl,mod_dl_src:02:00:00:00:00:01,output:1",
)


def run(*words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        virtboost("flow", *words),
        capture_output=True,
        text=True,
        input=given,
        timeout=60,
        check=False,
    )


def test_explain_a_packet_and_its_answer() -> None:
    done = run("explain", *DUMPS, "--packet", TCP)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("the packet comes in at v1\n")
    assert "its answer comes in at p0" in done.stdout
    assert done.stdout.rstrip().endswith(
        "normalised: 3 and 4 lookups of megaflows and connections become 1"
    )
    told = json.loads(run("explain", *DUMPS, "--connection", ":1000", "--json").stdout)
    assert told["schema"] == "virtboost.flow-explanation/1"
    assert told["forward"]["lookups"] == 3
    assert told["reverse"]["actions"][-1] == "output v1"


def test_explain_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "one.pcap"
    wrpcap(str(path), over_vxlan(segment("A", reply=True, seq=101, ack=2)))
    done = run("explain", *DUMPS, "--pcap", str(path), "--in-port", "p0")
    assert done.returncode == 0
    assert "pop 1 tunnel header" in done.stdout


def test_a_picture(tmp_path: Path) -> None:
    """A port with markup in its name stays text."""
    flows = (FOLDER / "vxlan-ct-3.1.flows").read_text().replace("v1", "<i>v1")
    file, page = tmp_path / "flows.txt", tmp_path / "way.html"
    file.write_text(flows)
    done = run(
        "explain", "--flows", str(file), *DUMPS[2:], "--connection", "1000", "--html", str(page)
    )
    assert done.returncode == 0
    text = page.read_text()
    assert "&lt;i&gt;v1" in text
    assert "<i>" not in text
    assert text.count('<li class="lookup">') == 5


def test_explain_why_not() -> None:
    done = run("explain", *DUMPS, "--packet", TCP.replace("1000", "1001"))
    assert done.returncode == 1
    assert "cannot be normalised: R11" in done.stdout


def test_names_of_ports_for_a_dump_without_them(tmp_path: Path) -> None:
    flows = tmp_path / "flows.txt"
    flows.write_text(
        "recirc_id(0),in_port(4),eth_type(0x0800),ipv4(frag=no), packets:1, bytes:1, used:1s, actions:2\n"
    )
    told = run("survey", "--flows", str(flows), "--ports", str(FOLDER / "vxlan-ct-3.1.ports"))
    assert told.stdout.startswith("dummy@ovs-dummy: 6 ports (2 dummy, 3 dummy-internal, 1 vxlan)\n")
    words = ("--flows", str(flows), "--ports", str(FOLDER / "vxlan-ct-3.1.ports"))
    done = run("explain", *words, "--packet", "in_port(v1),eth_type(0x0800),ipv4(frag=no)")
    assert "output      p0" in done.stdout


def test_survey_and_offload() -> None:
    assert run("survey", *DUMPS).stdout.startswith(
        "6 megaflows, 1 connections\n100.0% of 3 packets"
    )
    told = json.loads(run("offload", *DUMPS, "--json").stdout)
    assert (told["connections"], told["fitting"]) == (1, 1)


def test_a_broken_line_ends_it_or_is_left_out() -> None:
    text = (
        FOLDER / "vxlan-ct-3.1.flows"
    ).read_text().rstrip() + "\nufid:12, recirc_id(0),warp(1)\n"
    done = run("survey", "--flows", "-", given=text)
    assert done.returncode == 2
    assert done.stderr == "virtboost: -:8:30: not a flow: no packets:\n"
    done = run("survey", "--flows", "-", "--keep-going", given=text)
    assert done.returncode == 0
    assert done.stderr.startswith("virtboost: left out: -:8:30:")
    assert done.stdout.startswith("6 megaflows")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("explain", *DUMPS), "one of --packet, --connection and --pcap"),
        (("explain", *DUMPS, "--packet", "eth_type(0x0800)"), "needs an in_port"),
        (("explain", *DUMPS, "--packet", "in_port(v1),ipv4(ttl=x)"), "not a number"),
        (("explain", *DUMPS, "--connection", "10.9.9.9"), "no connection is written so"),
        (("explain", *DUMPS, "--pcap", __file__, "--in-port", "v1"), "not a pcap file"),
        (("survey", "--flows", "/nonexistent"), "cannot be read"),
        (("survey", "--connections", "x"), "go with --flows"),
        (("offload", *DUMPS, "--nic", "abacus"), "not one of connectx-5"),
    ],
)
def test_mistakes_are_one_line(words: tuple[str, ...], problem: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.needs_root
def test_the_real_tc_reads_every_rule() -> None:
    """This kernel may have no flower; that tc asks it at all says that the words are right."""
    need("tc", "unshare", "ip")
    told = json.loads(run("offload", *DUMPS, "--json").stdout)
    commands = [entry["command"] for entry in told["entries"]]
    setup = "ip link add v1 type veth peer name vxlan_sys_4789 && tc qdisc add dev v1 ingress && tc qdisc add dev vxlan_sys_4789 ingress"
    for command in [*commands, commands[0].replace(" tcp_flags ", " warp_flags ")]:
        software = command.replace(" skip_sw", "")
        done = subprocess.run(
            ("unshare", "--net", "sh", "-c", f"{setup} && {software}"),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        told_so = done.returncode == 0 or "talking to the kernel" in done.stderr
        assert told_so is ("warp_flags" not in command), done.stderr


@pytest.fixture(scope="module")
def switch(ovs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with pipeline(tmp_path_factory.mktemp("pipeline")) as made:
        yield made


@pytest.mark.needs_root
@pytest.mark.xdist_group("ovs")
def test_a_running_switch_through_its_socket(switch: Pipeline) -> None:
    switch.rules(RULES)
    assert switch.send("v1", segment("S", reply=False))
    assert switch.send("p0", over_vxlan(segment("SA", reply=True, seq=100, ack=2)))
    assert switch.send("v1", segment("A", reply=False, seq=2, ack=101))
    done = run("explain", "--connection", "10.0.0.1:1000")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("the packet comes in at v1\n")
    told = json.loads(run("survey", "--json").stdout)
    assert told["connections"] == 1
    assert told["switch"]["name"] == "dummy@ovs-dummy"
    assert [tunnel["name"] for tunnel in told["switch"]["tunnels"]] == ["vx"]
    assert told["switch"]["features"]["Recirc"] == "Yes"


@pytest.mark.needs_root
@pytest.mark.xdist_group("ovs")
def test_a_running_switch_over_ssh(switch: Pipeline, tmp_path: Path) -> None:
    need("unshare")
    switch.rules(("priority=1,ip,in_port=1,actions=output:2",))
    switch.settle("v1", segment("A", reply=False))
    environment = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
    with serving(tmp_path, {"plain": ""}) as server:
        (tmp_path / ".ssh").mkdir(mode=0o700)
        (tmp_path / ".ssh" / "config").write_text(server.config.read_text())
        done = subprocess.run(
            (*with_home(tmp_path), *virtboost("flow", "survey", "-H", "ssh://plain", "--json")),
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
            check=False,
        )
        for path in (tmp_path / ".cache" / "virtboost").glob("*"):
            subprocess.run(
                ("ssh", "-S", path, "-O", "exit", "any"), capture_output=True, check=True
            )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["switch"]["name"] == "dummy@ovs-dummy"


@pytest.mark.needs_root
@pytest.mark.xdist_group("ovs")
def test_a_switch_with_two_datapaths_wants_to_know_which(switch: Pipeline) -> None:
    with veth_bridge():
        done = run("survey")
        assert done.returncode == 2
        assert "--datapath NAME: one of " in done.stderr
        assert "netdev@ovs-netdev" in done.stderr
        told = run("survey", "--datapath", "netdev@ovs-netdev", "--json")
        assert json.loads(told.stdout)["switch"]["bridges"] == ["vbt-br"]
