"""Open vSwitch with the kernel's datapath in a guest: one port and a VXLAN tunnel through a device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lab.run import Running
from support.pipeline import HERE, HERE_MAC, THERE, THERE_MAC, VNI
from virtboost.flow.connection import read_connections
from virtboost.flow.datapath import Datapath
from virtboost.flow.megaflow import read_flows
from virtboost.flow.protocol import IPV4

RUN = "/run/openvswitch"

VSWITCHD = "/usr/lib/openvswitch-switch/ovs-vswitchd"

VARIABLES = f"export OVS_RUNDIR={RUN} OVS_LOGDIR={RUN} OVS_SYSCONFDIR={RUN}"

HERE6, THERE6 = "fd00:1::1", "fd00:1::2"

START = f"""\
set -e
{VARIABLES}
mkdir -p {RUN}
ovsdb-tool create {RUN}/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server {RUN}/conf.db --remote=punix:{RUN}/db.sock --pidfile --detach --log-file
ovs-vsctl --no-wait init -- set open_vswitch . other_config:max-idle=600000
{VSWITCHD} --pidfile --detach --log-file
/bin/ip link add up0 address {HERE_MAC} type veth peer name up1
/bin/ip link add v1 type veth peer name v1e
for device in up0 up1 v1 v1e; do /bin/ip link set $device up; done
/bin/ip address add {HERE}/24 dev up0
/bin/ip address add {HERE6}/64 dev up0 nodad
/bin/ip neighbour replace {THERE} lladdr {THERE_MAC} dev up0 nud permanent
/bin/ip neighbour replace {THERE6} lladdr {THERE_MAC} dev up0 nud permanent
ovs-vsctl add-br br-int -- set bridge br-int fail-mode=secure
ovs-vsctl add-port br-int v1 -- set interface v1 ofport_request=1
ovs-vsctl add-port br-int vx -- set interface vx type=vxlan ofport_request=3 \\
  options:key={VNI} options:remote_ip={THERE}
"""

STOP = f"""\
for file in {RUN}/ovs-vswitchd.pid {RUN}/ovsdb-server.pid; do kill "$(cat $file)"; done
/bin/ip link del v1
/bin/ip link del up0
"""


class KernelSwitch:
    """Bridge ``br-int`` with ports 1 ``v1``, whose other end is ``v1e``, and 3, VXLAN through ``up0``."""

    def __init__(self, server: Running) -> None:
        self._server = server

    def ask(self, command: str) -> str:
        return self._server.ask(f"{VARIABLES}; {command}")

    def rules(self, rules: Sequence[str], remote: str) -> None:
        """Replace the OpenFlow rules and the tunnel's other end, and forget connections."""
        adding = " && ".join(f"ovs-ofctl add-flow br-int '{rule}'" for rule in rules)
        self.ask(
            f"ovs-vsctl set interface vx options:remote_ip={remote} && ovs-ofctl del-flows br-int"
            f" && {adding} && ovs-appctl dpctl/flush-conntrack && ovs-appctl revalidator/purge"
        )

    def dumped(self) -> Datapath:
        flows = self.ask("ovs-appctl dpctl/dump-flows -m").splitlines()
        connections = self.ask("ovs-appctl dpctl/dump-conntrack -m -s").splitlines()
        return Datapath(read_flows(flows, "flows"), read_connections(connections, "connections"))

    def packets(self) -> int:
        """Return how many packets its megaflows of IPv4 saw; what devices say of themselves is IPv6."""
        flows = (rule.megaflow for rule in self.dumped().rules)
        return sum(flow.packets for flow in flows if flow.match["eth_type"].value == IPV4)


@contextmanager
def kernel_switch(server: Running) -> Iterator[KernelSwitch]:
    """Start it, and stop it."""
    server.ask(START)
    try:
        yield KernelSwitch(server)
    finally:
        server.ask(STOP)
