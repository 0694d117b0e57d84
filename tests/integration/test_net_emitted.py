"""What ``net plan --write`` writes, read by the programs that it is for, and run by some."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.daemon import PATH, ask, need, running, succeeds
from support.networks import IPV6, PLAIN, described
from virtboost.net.calico import Reflection
from virtboost.net.emit import bird as emit_bird
from virtboost.net.emit import layout
from virtboost.net.emit.files import files, layout_of
from virtboost.net.emit.layout import reflectors
from virtboost.net.mtu import mtu
from virtboost.net.plan import DESIGNS, plan

pytestmark = pytest.mark.needs_root

ADDRESSES = PLAIN["addresses"]

GROUPED: dict[str, Any] = {
    "nodes": [{"count": 700, "racks": 20}],
    "addresses": ADDRESSES | {"reflectors": [f"192.168.{group}.{one}" for group in range(3) for one in (10, 11)]},
    "churn": {"node_failures_per_day": 1, "daemon_restarts_per_day": 1},
}  # fmt: skip

ABOVE: dict[str, Any] = {
    "nodes": [{"count": 16_000, "racks": 400}],
    "addresses": ADDRESSES | {"reflectors": [f"192.168.{number // 200}.{number % 200 + 1}" for number in range(119)]},
}  # fmt: skip

FEW: dict[str, Any] = {
    "nodes": [{"count": 8, "racks": 1}],
    "addresses": {"pods": ["10.244.0.0/16"], "services": "10.96.0.0/16", "nodes": "10.99.0.0/24", "reflectors": ["10.99.0.1", "10.99.0.2"]},
}  # fmt: skip

SWITCHES: dict[str, Any] = {
    "fabric": {"kind": "bgp"},
    "addresses": ADDRESSES | {"fabric": ["192.168.0.1", "192.168.0.2"]},
}

OWN_SWITCHES: dict[str, Any] = SWITCHES | {
    "nodes": [{"count": 80, "racks": 2}],
    "addresses": ADDRESSES | {"fabric": [f"192.168.{rack}.{one}" for rack in (1, 2) for one in (1, 2)]},
}  # fmt: skip

BOTH = {"wants": ["ipv6"]}

FEW6 = (
    BOTH
    | FEW
    | {
        "addresses": FEW["addresses"]
        | {"ipv6": IPV6 | {"reflectors": ["fd00:99::1", "fd00:99::2"]}}
    }
)

GROUPED6 = BOTH | GROUPED | {
    "addresses": GROUPED["addresses"] | {"ipv6": IPV6 | {"reflectors": [f"fd00:99::{number}" for number in range(1, 7)]}},
}  # fmt: skip

ABOVE6 = BOTH | ABOVE | {
    "addresses": ABOVE["addresses"] | {"ipv6": IPV6 | {"reflectors": [f"fd00:99::{number}" for number in range(1, 120)]}},
}  # fmt: skip

SWITCHES6 = BOTH | SWITCHES | {
    "addresses": SWITCHES["addresses"] | {"ipv6": IPV6 | {"fabric": ["fd00:99::1", "fd00:99::2"]}},
}  # fmt: skip

LOSSY = {"churn": {"daemon_restarts_per_day": 0, "node_failures_per_day": 9}}


def written(folder: Path, design: str | None = None, **changes: Any) -> Path:
    """Write the files of a network's plan, as the command does."""
    network = described(**changes)
    for name, text in files(network, plan(network, design)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


CASES = [
    (None, GROUPED, 6), (None, ABOVE, 119), ("calico-reflectors", FEW, 2),
    ("calico-ipip", GROUPED, 6), ("calico-reflectors", FEW | LOSSY, 2),
    (None, GROUPED6, 6), (None, ABOVE6, 119), ("calico-reflectors", FEW6 | LOSSY, 2),
    (None, SWITCHES, 0), (None, SWITCHES6, 0), ("calico-tor", OWN_SWITCHES, 0),
]  # fmt: skip


@pytest.mark.parametrize(("design", "changes", "reflectors"), CASES)
def test_bird_takes_its_configuration(
    design: str | None, changes: dict[str, Any], reflectors: int, tmp_path: Path
) -> None:
    need("bird")
    found = sorted(written(tmp_path, design, **changes).glob("bird/*.conf"))
    assert sum(path.name.startswith("reflector-") for path in found) == reflectors
    assert len(found) > reflectors
    (tmp_path / "bird/own.conf").write_text(
        "define OWN = 192.168.9.9;\ndefine BLOCKS = [ 10.240.0.0/26+, 10.240.9.0/26+ ];\n"
        "define OWN_V6 = fd00:99::99;\ndefine BLOCKS_V6 = [ fd00:10:244::/122+ ];\n"
    )
    for path in found:
        ask("bird", "-p", "-c", str(path))


@pytest.mark.parametrize(
    ("design", "changes"),
    [(design, changes) for design, changes, _ in CASES],
)
def test_frr_takes_its_configuration(
    design: str | None, changes: dict[str, Any], tmp_path: Path
) -> None:
    need("vtysh")
    found = sorted(written(tmp_path, design, **changes).glob("frr/*.conf"))
    assert found
    for path in found:
        assert ask("vtysh", "-C", "-f", str(path)) == ""


def test_nodes_peer_with_the_switches_of_their_rack(tmp_path: Path) -> None:
    folder = written(tmp_path, "calico-tor", **OWN_SWITCHES)
    found = {
        path.name: re.findall(r"neighbor (\S+) as (\d+);", path.read_text())
        for path in folder.glob("bird/node-*.conf")
    }
    assert found == {
        "node-rack-1.conf": [("192.168.1.1", "64513"), ("192.168.1.2", "64513")],
        "node-rack-2.conf": [("192.168.2.1", "64513"), ("192.168.2.2", "64513")],
    }


def test_bfd_is_in_both_where_it_is_chosen(tmp_path: Path) -> None:
    """Few sessions and nodes that often die: BFD loses least, and its cost is nothing."""
    folder = written(tmp_path, "calico-reflectors", **(FEW | LOSSY))
    assert "protocol bfd" in (folder / "bird/reflector-10.99.0.1.conf").read_text()
    assert " neighbor nodes bfd " in (folder / "frr/reflector-10.99.0.1.conf").read_text()


@contextmanager
def database(folder: Path, schema: str, name: str) -> Iterator[str]:
    """Run an ovsdb-server with an empty database; give its address."""
    need("ovsdb-server", "ovsdb-tool", "ovsdb-client")
    if not Path(schema).exists():
        pytest.skip(f"not installed: {schema}")
    stored, socket = folder / f"{name}.db", f"unix:{folder / name}.sock"
    ask("ovsdb-tool", "create", str(stored), schema)
    argv = ("ovsdb-server", str(stored), f"--remote=p{socket}", f"--unixctl={folder / name}.ctl")
    with running(
        argv, log=folder / f"{name}.log", ready=succeeds("ovsdb-client", "list-dbs", socket)
    ):
        yield socket


def run(script: Path, *argv: str, **environment: str) -> None:
    done = subprocess.run(
        ("sh", str(script), *argv), capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "PATH": PATH, **environment}
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_northbound_database_takes_its_switches(tmp_path: Path) -> None:
    """Twice: the second run changes nothing."""
    need("ovn-nbctl")
    script = written(tmp_path, "ovn-central", nodes=[{"count": 120}]) / "northbound.sh"
    with database(tmp_path, "/usr/share/ovn/ovn-nb.ovsschema", "nb") as address:
        for _ in range(2):
            run(script, OVN_NB_DB=address)
            switches = ask("ovn-nbctl", f"--db={address}", "ls-list").splitlines()
            ports = ask(
                "ovn-nbctl",
                f"--db={address}",
                "--bare",
                "--columns=networks",
                "find",
                "Logical_Router_Port",
            )
        assert len(switches) == 120
        assert sorted(ports.split()) == sorted(
            f"10.240.{number // 4}.{number % 4 * 64 + 1}/26" for number in range(120)
        )


def test_a_northbound_database_takes_both_families(tmp_path: Path) -> None:
    need("ovn-nbctl")
    changes = BOTH | {"nodes": [{"count": 60}], "addresses": ADDRESSES | {"ipv6": IPV6}}
    script = written(tmp_path, "ovn-central", **changes) / "northbound.sh"
    with database(tmp_path, "/usr/share/ovn/ovn-nb.ovsschema", "nb") as address:
        control = ("ovn-nbctl", f"--db={address}")
        for _ in range(2):
            run(script, OVN_NB_DB=address)
        port = ask(*control, "get", "Logical_Router_Port", "cluster-node-60", "networks")
        assert port == '["10.240.14.193/26", "fd00:10:244:3b::1/64"]'
        kept = ask(*control, "get", "Logical_Switch", "node-60", "other_config")
        assert kept == '{ipv6_prefix="fd00:10:244:3b::", subnet="10.240.14.192/26"}'


def test_a_zone_takes_both_families(tmp_path: Path) -> None:
    need("ovn-nbctl")
    changes = BOTH | {"nodes": [{"count": 300}], "addresses": ADDRESSES | {"ipv6": IPV6}}
    folder = written(tmp_path, "ovn-zones", **changes)
    last = (folder / "zones.txt").read_text().splitlines()[-1].split()
    assert last[4:] == ["fd00:10:244:12b::1/64", "fd00:10:244:12b::"]
    with database(tmp_path, "/usr/share/ovn/ovn-nb.ovsschema", "nb") as address:
        control = ("ovn-nbctl", f"--db={address}")
        ask(*control, "ls-add", "transit")
        for _ in range(2):
            run(folder / "zone.sh", *last, OVN_NB_DB=address)
        port = ask(*control, "get", "Logical_Router_Port", "cluster-transit-node-300", "networks")
        assert port == '["100.88.1.44/16", "fd97::12c/64"]'
        kept = ask(*control, "get", "Logical_Switch", "node-300", "other_config:ipv6_prefix")
        assert kept == '"fd00:10:244:12b::"'


def test_a_zone_and_the_switch_between_zones(tmp_path: Path) -> None:
    need("ovn-nbctl", "ovn-ic-nbctl")
    folder = written(tmp_path, "ovn-zones", nodes=[{"count": 3}], pods_per_node=30)
    arguments = (folder / "zones.txt").read_text().splitlines()
    assert arguments[2] == "node-3 3 10.240.0.129/26 10.240.0.128/26"
    schemas = "/usr/share/ovn"
    with database(tmp_path, f"{schemas}/ovn-ic-nb.ovsschema", "icnb") as between:
        run(folder / "transit.sh", OVN_IC_NB_DB=between)
        assert "transit" in ask("ovn-ic-nbctl", f"--db={between}", "ts-list")
    with database(tmp_path, f"{schemas}/ovn-nb.ovsschema", "nb") as address:
        ask("ovn-nbctl", f"--db={address}", "ls-add", "transit")
        run(folder / "zone.sh", *arguments[2].split(), OVN_NB_DB=address)
        shown = ask("ovn-nbctl", f"--db={address}", "show")
        assert "cluster-transit-node-3" in shown and "100.88.0.3/16" in shown
        assert ask("ovn-nbctl", f"--db={address}", "get", "NB_Global", ".", "name") == "node-3"


@pytest.mark.parametrize(
    ("design", "changes", "argv"),
    [
        ("ovs-vxlan", {}, ["192.168.0.7"]),
        ("ovs-offload", {"nodes": [{"count": 9, "offload": True}], "traffic": {"connections": 300_000}}, ["192.168.0.7"]),
        ("ovs-dpdk", {"wants": ["userspace"]}, ["192.168.0.7"]),
        ("ovn-central", {}, ["node-7", "192.168.0.7"]),
        ("ovn-zones", {"fabric": {"kind": "l3", "tunnel": "vxlan"}}, ["node-7", "192.168.0.7"]),
    ],
)  # fmt: skip
def test_a_switch_takes_its_settings(
    design: str, changes: dict[str, Any], argv: list[str], tmp_path: Path
) -> None:
    """A database without a daemon: ovs-vsctl must not wait for one."""
    need("ovs-vsctl")
    script = written(tmp_path, design, **changes) / "node.sh"
    with database(tmp_path, "/usr/share/openvswitch/vswitch.ovsschema", "db") as address:
        control = ("ovs-vsctl", f"--db={address}", "--no-wait")
        ask(*control, "init")
        wrapper = tmp_path / "ovs-vsctl"
        wrapper.write_text(f'#!/bin/sh\nexec /usr/bin/ovs-vsctl --db={address} --no-wait "$@"\n')
        wrapper.chmod(0o755)
        run(script, *argv, PATH=f"{tmp_path}:{PATH}", CENTRAL="192.168.0.9")
        own = ask(*control, "get", "Open_vSwitch", ".", "external_ids", "other_config")
        if design.startswith("ovn"):
            assert 'ovn-encap-ip="192.168.0.7"' in own
            assert ("ovn-encap-type=vxlan" in own) == (design == "ovn-zones")
        else:
            assert ask(*control, "list-ports", "br-int") == "vxlan0"
            options = ask(*control, "get", "Interface", "vxlan0", "options")
            assert 'local_ip="192.168.0.7"' in options and "remote_ip=flow" in options
        assert ("hw-offload=" in own) == (design == "ovs-offload")
        assert ('flow-limit="600000"' in own) == (design == "ovs-offload")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("reflector", "kp7", "258"), ['calicoctl patch node kp7 --patch {"spec":{"bgp":{"routeReflectorClusterID":"244.0.1.2"}}}', "kubectl label --overwrite node kp7 route-reflector=true bgp-group=258"]),
        (("node", "kp8", "3"), ["kubectl label --overwrite node kp8 bgp-group=3"]),
        (("top", "kp9"), ['calicoctl patch node kp9 --patch {"spec":{"bgp":{"routeReflectorClusterID":"244.0.0.59"}}}', "kubectl label --overwrite node kp9 top-reflector=true"]),
        (("typha",), ["kubectl -n kube-system scale deployment calico-typha --replicas=82"]),
        (("mtu",), ['kubectl patch installation.operator.tigera.io default --type merge --patch {"spec":{"calicoNetwork":{"mtu":1500}}}']),
        (("neighbours",), ["sysctl -w net.ipv4.neigh.default.gc_thresh3=64116"]),
    ],
    ids=lambda value: value[0][:10],
)  # fmt: skip
def test_commands_say_what_they_should(
    argv: tuple[str, ...], told: list[str], tmp_path: Path
) -> None:
    script = written(tmp_path, **ABOVE) / "commands.sh"
    called = tmp_path / "called"
    for name in ("kubectl", "calicoctl", "sysctl"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{called}\n')
        (tmp_path / name).chmod(0o755)
    run(script, *argv, PATH=f"{tmp_path}:{PATH}")
    assert called.read_text().splitlines() == told


def test_commands_set_both_families(tmp_path: Path) -> None:
    script = written(tmp_path, **ABOVE6) / "commands.sh"
    called = tmp_path / "called"
    for name in ("kubectl", "sysctl"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{called}\n')
        (tmp_path / name).chmod(0o755)
    for word in ("neighbours", "ipv6"):
        run(script, word, PATH=f"{tmp_path}:{PATH}")
    assert called.read_text().splitlines() == [
        "sysctl -w net.ipv4.neigh.default.gc_thresh3=64116",
        "sysctl -w net.ipv6.neigh.default.gc_thresh3=64116",
        "kubectl -n kube-system set env daemonset/calico-node IP6=autodetect FELIX_IPV6SUPPORT=true",
    ]


def bird(space: str, config: Path, folder: Path, address: str) -> tuple[str, ...]:
    return (
        "ip",
        "netns",
        "exec",
        space,
        "bird",
        "-f",
        "-c",
        str(config),
        "-s",
        control(folder, address),
    )


def bgpd(space: str, config: Path, folder: Path) -> tuple[str, ...]:
    """Return the command of FRR's bgpd alone, as this user: without zebra, every next hop is good."""
    own = (
        "--skip_runas",
        "--no_zebra",
        "--vty_socket",
        str(folder),
        "--pid_file",
        str(folder / "bgpd.pid"),
    )
    return ("ip", "netns", "exec", space, "/usr/lib/frr/bgpd", "-f", str(config), *own)


def control(folder: Path, address: str) -> str:
    return str(folder / f"{address}.ctl")


REFLECTORS = ("10.99.0.1", "10.99.0.2")


@contextmanager
def running_network(
    folder: Path, clients: list[str], *, second: str, changes: dict[str, Any] = FEW
) -> Iterator[dict[str, str]]:
    """Run reflectors and clients as written, each in its namespace; give these by address.

    Each client has a block, and a route that is no pod's, of both families.
    """
    files = written(folder, "calico-reflectors", **changes)
    homes = {each: files / f"bird/reflector-{each}.conf" for each in REFLECTORS}
    for number, address in enumerate(clients):
        homes[address] = folder / address / "node.conf"
        homes[address].parent.mkdir()
        homes[address].write_text((files / "bird/node-any.conf").read_text())
        (homes[address].parent / "own.conf").write_text(
            f"define OWN = {address};\ndefine BLOCKS = [ 10.244.{number}.0/26+ ];\n"
            f"define OWN_V6 = {beside(address)};\n"
            f"define BLOCKS_V6 = [ fd00:10:244::{number}:0/122+ ];\n"
        )
    with ExitStack() as stack:
        spaces = stack.enter_context(namespaces(list(homes)))
        for number, address in enumerate(clients):
            inside(spaces[address], "ip", "route", "add", "blackhole", f"10.244.{number}.0/26")
            inside(spaces[address], "ip", "route", "add", "blackhole", f"172.31.{number}.0/26")
            for prefix in ("fd00:10:244", "fd00:31"):
                block = f"{prefix}::{number}:0/122"
                inside(spaces[address], "ip", "-6", "route", "add", "blackhole", block)
        if second == "frr":
            del homes[REFLECTORS[1]]
            config = files / f"frr/reflector-{REFLECTORS[1]}.conf"
            argv = bgpd(spaces[REFLECTORS[1]], config, folder)
            ready = (folder / "bgpd.vty").exists
            stack.enter_context(running(argv, log=folder / "bgpd.log", ready=ready))
        for address, config in homes.items():
            argv = bird(spaces[address], config, folder, address)
            ready = succeeds("birdc", "-s", control(folder, address), "show", "status")
            stack.enter_context(running(argv, log=folder / f"{address}.log", ready=ready))
        yield spaces


@pytest.mark.parametrize("second", ["bird", "frr"])
def test_reflectors_and_nodes_exchange_routes(second: str, tmp_path: Path) -> None:
    """What is no pod's is not announced; the second reflector may be FRR's."""
    need("bird", "birdc", "ip", *(["vtysh"] if second == "frr" else []))
    near, far = "10.99.0.21", "10.99.0.22"

    def paths() -> str:
        return ask("birdc", "-s", control(tmp_path, far), "show", "route", "all")

    with running_network(tmp_path, [near, far], second=second) as spaces:
        wait(lambda: paths().count("BGP.cluster_list: 244.0.0.1") == 2)
        assert all(f"from {each}" in paths() for each in REFLECTORS)
        wait(
            lambda: (
                f"10.244.0.0/26 via {near}"
                in inside(spaces[far], "ip", "route", "show", "proto", "bird")
            )
        )
        assert "172.31.0" not in inside(spaces[far], "ip", "route")


def test_nodes_announce_blocks_and_what_they_borrow(tmp_path: Path) -> None:
    """As Calico: no single pod of a node's own block, but one of another node's; of both families."""
    need("bird", "birdc", "ip")
    clients = ["10.99.0.21", "10.99.0.22"]
    with running_network(tmp_path, clients, second="bird", changes=FEW6) as spaces:

        def destinations(number: int) -> set[str]:
            """Return where a client's BIRD has routes to in its kernel."""
            shown = [
                inside(spaces[clients[number]], "ip", version, "route", "show", "proto", "bird")
                for version in ("-4", "-6")
            ]
            return {line.split()[0] for each in shown for line in each.splitlines()}

        for pod in (5, 9):
            for number, address in enumerate(clients):
                block = number if pod == 5 else 1 - number
                for way in (f"10.244.{block}.{pod}", f"fd00:10:244::{block}:{pod}"):
                    inside(spaces[address], "ip", "route", "add", way, "dev", "eth0")
        wanted = [
            {"10.244.1.0/26", "10.244.0.9", "fd00:10:244::1:0/122", "fd00:10:244::9"},
            {"10.244.0.0/26", "10.244.1.9", "fd00:10:244::/122", "fd00:10:244::1:9"},
        ]
        wait(lambda: [destinations(0), destinations(1)] == wanted)
        time.sleep(2 * layout.SCAN_S)
        assert [destinations(0), destinations(1)] == wanted


@pytest.mark.parametrize("second", ["bird", "frr"])
def test_reflectors_and_nodes_exchange_routes_of_ipv6(second: str, tmp_path: Path) -> None:
    """In sessions of their own, as Calico has them; those of IPv4 are there too."""
    need("bird", "birdc", "ip", *(["vtysh"] if second == "frr" else []))
    near, far = "10.99.0.21", "10.99.0.22"

    def paths() -> str:
        asked = ("show", "route", "all", "where", "net = fd00:10:244::/122")
        return ask("birdc", "-s", control(tmp_path, far), *asked)

    with running_network(tmp_path, [near, far], second=second, changes=FEW6) as spaces:
        wait(lambda: paths().count("BGP.cluster_list: 244.0.0.1") == 2)
        assert all(f"from fd00:99::{number}" in paths() for number in (1, 2))
        shown = ("ip", "-6", "route", "show", "proto", "bird")
        wait(lambda: "fd00:10:244::/122 via fd00:99::21" in inside(spaces[far], *shown))
        assert "fd00:31" not in inside(spaces[far], *shown)
        sessions = ask("birdc", "-s", control(tmp_path, far), "show", "protocols")
        assert sessions.count("Established") == 4
        four = inside(spaces[far], "ip", "route", "show", "proto", "bird")
        assert f"10.244.0.0/26 via {near}" in four


def test_a_running_network_has_what_the_closed_forms_say(tmp_path: Path) -> None:
    """Eight nodes: sessions, paths and routes as planned, but for blocks of reflectors, which have none."""
    need("bird", "birdc", "ip")
    network = described(**(FEW | {"nodes": [{"count": 10}]}))
    planned = {each.name: each.quantities for each in plan(network).candidates}["calico-reflectors"]
    clients = [f"10.99.0.{number}" for number in range(21, 29)]

    def shown(address: str, *what: str) -> str:
        return ask("birdc", "-s", control(tmp_path, address), "show", *what)

    def established(address: str) -> int:
        return shown(address, "protocols").count("Established")

    with running_network(tmp_path, clients, second="bird") as spaces:
        copies = 2 * 2
        wait(
            lambda: all(
                f"{planned['rib_paths'].value - copies:.0f} of"
                in shown(each, "route", "where", "net ~ 10.244.0.0/16", "count")
                for each in clients
            )
        )
        wait(
            lambda: all(
                len(
                    inside(
                        spaces[each], "ip", "route", "show", "root", "10.244.0.0/16"
                    ).splitlines()
                )
                == planned["fib_routes"].value - 2
                for each in clients
            )
        )
        assert {established(each) for each in clients} == {planned["sessions_per_node"].value}
        assert {established(each) for each in REFLECTORS} == {
            planned["sessions_per_reflector"].value
        }
        assert sum(map(established, (*clients, *REFLECTORS))) == 2 * planned["sessions"].value


TOP, PAIRS = [f"10.99.0.{n}" for n in (1, 2, 3)], [f"10.99.0.{n}" for n in (4, 5, 6, 7)]


def test_reflectors_that_send_all_they_hold_below_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three above two pairs, with add paths as Calico's: a block of the other group comes twelve times."""
    need("bird", "birdc", "ip")
    monkeypatch.setattr(layout, "reflection", lambda _: Reflection(groups=2, top=3, clients=2))
    addresses = FEW["addresses"] | {"reflectors": [*TOP, *PAIRS]}
    network = described(**(FEW | {"nodes": [{"count": 11}], "addresses": addresses}))
    whole = layout_of(network, plan(network, "calico-rack-reflectors"))
    found = reflectors(whole)
    clients = {"10.99.0.21": 1, "10.99.0.22": 1, "10.99.0.23": 2, "10.99.0.24": 2}
    configs = {own.address: emit_bird.reflector(whole, own) for own in found}
    for address, group in clients.items():
        text = emit_bird.node(whole, tuple(own for own in found if own.group == group))
        block = f"10.244.{[*clients].index(address)}.0/26"
        configs[address] = text.replace('include "own.conf";', emit_bird.own_file(address, [block]))
    with ExitStack() as stack:
        spaces = stack.enter_context(namespaces(list(configs)))
        for number, address in enumerate(clients):
            inside(spaces[address], "ip", "route", "add", "blackhole", f"10.244.{number}.0/26")
        for address, text in configs.items():
            path = tmp_path / f"{address}.conf"
            path.write_text(
                text.replace("import filter pods;", "import filter pods; add paths on;")
            )
            argv = bird(spaces[address], path, tmp_path, address)
            ready = succeeds("birdc", "-s", control(tmp_path, address), "show", "status")
            stack.enter_context(running(argv, log=tmp_path / f"{address}.log", ready=ready))

        def paths(number: int) -> int:
            asked = ("show", "route", "where", f"net = 10.244.{number}.0/26", "count")
            shown = ask("birdc", "-s", control(tmp_path, "10.99.0.21"), *asked)
            counted = re.search(r"(\d+) of \d+ routes", shown)
            assert counted, shown
            return int(counted[1])

        def counts() -> list[int]:
            return [paths(number) for number in range(4)]

        wait(lambda: counts() == [1, 2, 12, 12], told=counts)
        time.sleep(2)
        assert counts() == [1, 2, 12, 12]


@contextmanager
def namespaces(addresses: list[str]) -> Iterator[dict[str, str]]:
    """Make a namespace for each address, on one bridge; remove all of them at the end."""
    prefix = f"virtboost-{os.getpid()}"
    spaces = {address: f"{prefix}-{number}" for number, address in enumerate(addresses)}
    hub = f"{prefix}-hub"
    try:
        ask("ip", "netns", "add", hub)
        inside(hub, "ip", "link", "add", "br0", "type", "bridge")
        inside(hub, "ip", "link", "set", "br0", "up")
        for number, (address, space) in enumerate(spaces.items()):
            ask("ip", "netns", "add", space)
            inside(
                hub,
                "ip",
                "link",
                "add",
                f"p{number}",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                space,
            )
            inside(hub, "ip", "link", "set", f"p{number}", "master", "br0", "up")
            inside(space, "ip", "address", "add", f"{address}/24", "dev", "eth0")
            inside(space, "ip", "address", "add", f"{beside(address)}/64", "dev", "eth0", "nodad")
            inside(space, "ip", "link", "set", "eth0", "up")
            inside(space, "ip", "link", "set", "lo", "up")
        yield spaces
    finally:
        for space in (*spaces.values(), hub):
            subprocess.run(("ip", "netns", "delete", space), check=False, capture_output=True)


def beside(address: str) -> str:
    """Return the address of IPv6 that a node has beside one of IPv4."""
    return f"fd00:99::{address.rpartition('.')[2]}"


def inside(space: str, *argv: str) -> str:
    return ask("ip", "netns", "exec", space, *argv)


def wait(holds: Any, limit_s: float = 30, told: Any = lambda: "did not come true") -> None:
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, told()
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("underlay", "remote"), [(1500, "10.99.0.9"), (9000, "10.99.0.9"), (1500, "fd00::9")]
)
def test_a_tunnel_of_the_kernel_has_the_planned_mtu(underlay: int, remote: str) -> None:
    need("ip")
    fabric = {"kind": "l2", "ipv6_underlay": ":" in remote}
    network = described(nodes=[{"count": 9, "mtu": underlay}], fabric=fabric)
    with namespaces(["10.99.0.1"]) as spaces:
        space = spaces["10.99.0.1"]
        inside(space, "ip", "link", "set", "eth0", "mtu", str(underlay))
        inside(
            space,
            "ip",
            "link",
            "add",
            "vxlan0",
            "type",
            "vxlan",
            "id",
            "7",
            "dev",
            "eth0",
            "remote",
            remote,
            "dstport",
            "4789",
        )
        shown = inside(space, "ip", "-o", "link", "show", "vxlan0")
    planned = mtu(DESIGNS["calico-vxlan"], network).pod_bytes
    assert f" mtu {planned} " in shown
