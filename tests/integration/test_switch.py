"""A real Open vSwitch, held against its own clients."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import ask, wait_until
from support.switch import APPCTL, VSCTL
from virtboost.model.ovs import Ovs
from virtboost.scan import cpu
from virtboost.scan import ovs as ovs_scan
from virtboost.scan.host import parse, scan
from virtboost.transport.local import LocalReader
from virtboost.transport.recorded import RecordedReader, Recording, save
from virtboost.transport.redact import Redactor

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("ovs")]


@pytest.fixture(scope="module")
def bridges(ovs: None) -> Iterator[None]:
    """A bridge with a tunnel that has a key, and one without ports."""
    try:
        ask(
            *VSCTL,
            *("add-br", "vbtest0", "--", "set", "Bridge", "vbtest0", "datapath_type=netdev"),
            *("--", "add-port", "vbtest0", "vbtun0", "--", "set", "Interface", "vbtun0"),
            *("type=vxlan", "options:remote_ip=192.0.2.1", "options:psk=opensesame"),
            *("other_config:lldp=x", "--", "add-br", "vbtest1", "--", "set", "Bridge", "vbtest1"),
            *("datapath_type=netdev", "--", "set", "Open_vSwitch", "."),
            *("other_config:hw-offload=false", "other_config:pmd-cpu-mask=0x1"),
        )
        yield
    finally:
        for bridge in ("vbtest0", "vbtest1"):
            ask(*VSCTL, "--if-exists", "del-br", bridge)


def scanned() -> Ovs:
    found = parse(LocalReader().read(ovs_scan.SOURCES)).ovs
    assert found is not None
    return found


def test_bridges_are_those_of_ovs_vsctl(bridges: None) -> None:
    told = {
        bridge: sorted((bridge, *ask(*VSCTL, "list-ifaces", bridge).split()))
        for bridge in ask(*VSCTL, "list-br").split()
    }
    found = scanned()
    assert {b.name: [i.name for i in b.interfaces] for b in found.bridges} == told
    for bridge in found.bridges:
        assert bridge.datapath_type == ask(*VSCTL, "get", "Bridge", bridge.name, "datapath_type")


def test_tunnel_without_its_key(bridges: None) -> None:
    tunnel = next(i for b in scanned().bridges for i in b.interfaces if i.name == "vbtun0")
    assert tunnel.type == ask(*VSCTL, "get", "Interface", "vbtun0", "type")
    assert tunnel.options == {"remote_ip": "192.0.2.1"}
    assert tunnel.other_config == {"lldp": "x"}


def test_switch_itself(bridges: None) -> None:
    found = scanned()
    assert found.version == ask("ovs-vswitchd", "--version").splitlines()[0].split()[-1]
    assert found.other_config == {"hw-offload": "false", "pmd-cpu-mask": "0x1"}
    assert found.dpdk_initialized is False
    assert found.pmds == (), "no interface needs one"


def test_pmd_threads_are_those_of_the_kernel(bridges: None) -> None:
    ask(
        *VSCTL,
        "add-port",
        "vbtest0",
        "vbpmd0",
        "--",
        "set",
        "Interface",
        "vbpmd0",
        "type=dummy-pmd",
    )
    try:
        found = scanned()
        process = int(Path("/run/openvswitch/ovs-vswitchd.pid").read_text())
        pinned = {
            status["Cpus_allowed_list"]
            for status in map(status_of, Path(f"/proc/{process}/task").iterdir())
            if status["Name"].startswith("pmd")
        }
        assert {str(pmd.pcpu_id) for pmd in found.pmds} == pinned == {"0"}
        assert [pmd.queues for pmd in found.pmds] == [("vbpmd0:0",)]
        assert [pmd.isolated for pmd in found.pmds] == [False]
        assert str(found.pmd_cpus) == "0"
    finally:
        ask(*VSCTL, "del-port", "vbtest0", "vbpmd0")
        wait_until(
            lambda: "pmd thread" not in ask(*APPCTL, "dpif-netdev/pmd-rxq-show"), 10, lambda: ""
        )


def status_of(task: Path) -> dict[str, str]:
    return dict(re.findall(r"^(\w+):\s*(.*)$", (task / "status").read_text(), re.MULTILINE))


def test_recording_replays_without_the_key(bridges: None, tmp_path: Path) -> None:
    capture = Redactor().capture(LocalReader().read((*cpu.SOURCES, *ovs_scan.SOURCES)))
    save(capture, tmp_path / "host", Recording(host="local", version="0", redacted=True))
    assert scan(RecordedReader(tmp_path / "host")).ovs == scanned()
    texts = "".join(output.stdout for _, outputs in capture.commands() for output in outputs)
    assert "opensesame" not in texts
