"""Items on Calico's BGP, by the peers that its BIRD has on this host."""

from __future__ import annotations

from virtboost.catalogue.item import (
    NO_FIGURE,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Subjects,
    Unknown,
    Wrong,
)
from virtboost.catalogue.wanted import Wanted, whole_number
from virtboost.model.agent import Agent
from virtboost.model.host import Host

CALICO: Subjects[Agent] = Subjects(
    kind="agent",
    select=lambda host: [(agent.name, agent) for agent in host.agents if agent.name == "calico"],
    none="no BIRD of Calico runs here",
    gap="agents",
)


def _mesh(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    mesh, others = whole_number(agent.options.get("peers.Mesh")), _other_peers(agent)
    if mesh is None:
        return Unknown("how many peers the node-to-node mesh has")
    if mesh == 0:
        return NotApplicable(f"no node-to-node mesh; {others} other BGP peers")
    nodes = mesh + 1
    if wanted.accepts(str(nodes)):
        return Ok(f"{nodes} nodes in the mesh")
    return Wrong(
        found=f"{nodes} nodes in the mesh",
        wanted=f"{wanted.text}, or route reflectors",
        reason=f"each node keeps {mesh} BGP sessions, the cluster {nodes * mesh // 2}; "
        "their number grows with the square of the nodes",
    )


def _other_peers(agent: Agent) -> int:
    told = (whole_number(agent.options.get(f"peers.{kind}")) for kind in ("Global", "Node"))
    return sum(number or 0 for number in told)


_MESH = 'calicoctl patch bgpconfiguration default -p \'{"spec": {"nodeToNodeMeshEnabled": %s}}\''

ITEMS = (
    Item(
        id="calico.mesh",
        title="Large Calico clusters have route reflectors, not a node-to-node mesh",
        layer="cluster",
        platforms=("kubernetes",),
        severity="warning",
        takes_effect="live",
        risk="with the mesh off before every node has its sessions to reflectors, pods lose routes",
        effect=NO_FIGURE,
        why=(
            "In the mesh of n nodes every node has n - 1 sessions and the cluster n(n - 1)/2; with "
            "r reflectors it is (n - r)r + r(r - 1)/2: 499,500 against 2,994 for 1,000 nodes and "
            "three. Calico's maintainers tested about 100 nodes without reflectors, and advise "
            "them from 50 to 100 nodes on; Mirantis asks for at least two, on nodes of their own, "
            "beyond 100. Bring the reflectors' sessions up first, switch the mesh off last."
        ),
        sources=(
            "kops, Calico and large clusters: https://github.com/kubernetes/kops/pull/6047",
            "Mirantis Kubernetes Engine, route reflectors: https://docs.mirantis.com/mke/3.3/ops/"
            "administer-cluster/deploy-route-reflectors-improve-perf.html",
        ),
        by_hand=(
            "calicoctl patch node REFLECTOR -p "
            '\'{"spec": {"bgp": {"routeReflectorClusterID": "244.0.0.1"}}}\'\n'
            "kubectl label node REFLECTOR route-reflector=true\n"
            "# a BGPPeer from all() to route-reflector == 'true'; wait for its sessions, then\n"
            + _MESH
            % "false"
        ),
        undo_by_hand=_MESH % "true",
        rule="R18",
        subjects=CALICO,
        wanted=Wanted("<= 100"),
        judge=_mesh,
    ),
)
