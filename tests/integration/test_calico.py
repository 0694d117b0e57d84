"""A real BIRD with a configuration such as Calico's confd writes, in a mount namespace."""

from pathlib import Path

import pytest

from support.daemon import ask, exclusive, need, running, succeeds
from virtboost.model.agent import Agent
from virtboost.scan.host import scan
from virtboost.transport.local import LocalReader

pytestmark = pytest.mark.needs_root

CONFD = "/etc/calico/confd"

CONFIG = """\
router id 192.0.2.1;
protocol device {}
template bgp bgp_template { local 192.0.2.1 as 64512; multihop; ipv4 { import none; export none; }; }
# For peer /bgp/v1/host/node2/ip_addr_v4
protocol bgp Mesh_192_0_2_2 from bgp_template { neighbor 192.0.2.2 as 64512; passive on; }
protocol bgp Mesh_192_0_2_3 from bgp_template { neighbor 192.0.2.3 as 64512; passive on; }
protocol bgp Node_192_0_2_9 from bgp_template { neighbor 192.0.2.9 as 64999; passive on; password "opensesame"; }
"""


def test_peers_are_those_of_the_bird(tmp_path: Path) -> None:
    need("bird", "birdc", "pgrep", "unshare")
    etc = tmp_path / "etc"
    config = etc / "calico" / "confd" / "config" / "bird.cfg"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    (tmp_path / "work").mkdir()
    control = str(tmp_path / "bird.ctl")
    layers = f"lowerdir=/etc,upperdir={etc},workdir={tmp_path / 'work'}"
    argv = ("unshare", "--net", "bird", "-f", "-s", control, "-c", f"{CONFD}/config/bird.cfg")
    with exclusive("bird"):
        with running(
            argv,
            log=tmp_path / "bird.log",
            prepare=f"mount -t overlay none -o {layers} /etc",
            ready=succeeds("birdc", "-s", control, "show", "status"),
        ):
            protocols = ask("birdc", "-s", control, "show", "protocols").splitlines()
            host = scan(LocalReader())
    peers = [line.split("_")[0] for line in protocols if " BGP " in line]
    assert sorted(peers) == ["Mesh", "Mesh", "Node"]
    assert host.agent("calico") == Agent(
        name="calico",
        files=(f"{CONFD}/config/bird.cfg",),
        options={"peers.Mesh": "2", "peers.Global": "0", "peers.Node": "1"},
    )
