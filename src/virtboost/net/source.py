"""Where figures, limits and features come from, by the key that a plan carries."""

from __future__ import annotations

_VM = "2-vCPU Debian 12 virtual machine, x86_64, Linux 6.18, one run for each size"

SOURCES = {
    "bird-mesh": f"BIRD 2.0.12, full meshes of 10 to 150 daemons; {_VM}",
    "bird-emulated": "net emulate: meshes of 20 to 150 and reflectors for 50 to 310 nodes of BIRD "
    "2.0.12, docs/benchmarks.md; the same machine",
    "bird-ladder": f"one BIRD 2.0.12 against 200, 500, 1,000 and 2,000 synthetic peers; {_VM}",
    "bird-memory": "BIRD 2.0.12, 13 meshes and reflectors of 4 to 200 daemons, and one with up to "
    f"2,000 synthetic peers and 10,000 routes; {_VM}",
    "bird-reflector": f"two BIRD 2.0.12 reflecting 1,500 routes to 149 clients; {_VM}",
    "bird-scan": f"BIRD 2.0.12, scans of a kernel's table; {_VM}",
    "bird-failure": f"BIRD 2.0.12, links cut and daemons killed, 38 sessions; {_VM}",
    "bird-timers": "BIRD's source: every timer starts up to 25 % early (RFC 4271, section 10)",
    "kernel-routes": f"100,000 routes, 10,000 FDB entries and neighbours installed; {_VM}",
    "ovs-rules": f"Open vSwitch 3.1.0, bundles of 10,000 to 200,000 rules; {_VM}",
    "ovs-upcall": f"Open vSwitch 3.1.0, userspace datapath, one thread; {_VM}",
    "ovn-fit": f"OVN 23.03.1, 10 to 100 switches of 10 to 40 ports, exact at held-out sizes; {_VM}",
    "ovn-ladder": "net validate --ladder: OVN 23.03.1, 10 to 100 switches of 10 to 40 ports, none "
    f"for gateways; {_VM}",
    "ovn-northd": f"OVN 23.03.1, 900 to 11,000 rows of logical flows; {_VM}",
    "overlays-emulated": "net emulate: ovs-vxlan with 5 to 30 nodes, calico-vxlan with 10 to 80, "
    f"ovn-central with 4 to 20; {_VM}",
    "etcd-watch": f"etcd 3.4.23 through its JSON gateway, 50 to 500 watchers; {_VM}",
    "antrea-pipeline": "Antrea v1.15, docs/design/ovs-pipeline.md: flows by table",
    "kube-proxy": "8 iptables rules a service: 40,000 for 5,000, 160,000 for 20,000; besthub.dev, "
    "large-scale container networks with Kubernetes",
    "calico-mesh": "kops PR 6047, a Tigera engineer: meshes to 50-100 nodes; 5,000 with reflectors",
    "calico-add-paths": "projectcalico/calico, bird.cfg.template: add paths on; a node of 310 in "
    "two groups held 917 paths",
    "calico-bpf": "projectcalico/calico at 0039c9cd, felix/config/config_params.go: sizes of maps; "
    "felix/calc/l3_route_resolver.go: a route for each node, block and local pod",
    "calico-restart": "projectcalico/calico issue 9976: 4 minutes at 800 nodes in a mesh",
    "mirantis": "Mirantis Kubernetes Engine 3.3: above 100 nodes two reflectors at least",
    "typha-scale": "tigera/operator, pkg/common/autoscale.go: nodes / 200 + 2",
    "typha-limit": "projectcalico/calico issue 5629: clients dropped at 408 connections a Typha",
    "typha-two": "projectcalico/typha PR 348: Felix and confd connect each",
    "calico-overlay": "docs.tigera.io, overlay networking: what needs encapsulation; no IPIP in "
    "Azure, none for IPv6",
    "calico-mtu": "docs.tigera.io, configure MTU: VXLAN 50, WireGuard 60, IPIP 20 bytes; over IPv6 "
    "VXLAN 70, WireGuard 80",
    "calico-multicast": "tigera/docs PR 2695: multicast is not supported",
    "calico-ipam": "docs.tigera.io, IPAMConfiguration: maxBlocksPerHost 20",
    "ovn-vxlan": "ovs-dev, April 2024: with VXLAN 4,095 datapaths and 2,047 ports each",
    "ovn-subnets": "OpenShift network calculator: subnets that OVN-Kubernetes joins nodes with; of "
    "IPv6, ovn-kubernetes go-controller/pkg/config/config.go",
    "node-subnet6": "Kubernetes, kube-controller-manager: --node-cidr-mask-size-ipv6, 64",
    "ovn-zones": "Red Hat, OVN-Kubernetes with a zone for each node: tested to 2,000 nodes",
    "ovn-central": "openshift-docs PR 53348: untested with central OVN databases at 501 nodes",
    "ovn-mtu": "Geneve with OVN's option: 58 bytes",
    "neighbours": "kops issue 4533: Linux keeps 1,024 neighbours (gc_thresh3); 60 nodes met it",
    "kubernetes": "SIG Scalability, thresholds.md: 5,000 nodes, 150,000 pods, 110 pods a node",
    "node-heartbeat": "kubernetes/enhancements, sig-node/0009-node-heartbeat: a lease every 10 s, "
    "an unchanged status every 5 minutes",
    "megaflows": "ovs-dev 2014: flow-limit 200,000",
    "veth-userspace": f"Open vSwitch 3.1.0, userspace datapath over veth: 0.55 Gbit/s; {_VM}",
    "infrabuilder": "InfraBuilder benchmark-k8s-cni-2024-01: 40 Gbit/s, MTU 9000, one TCP stream",
    "cni-change": "Rancher and RKE2 documentation: the CNI of a cluster cannot be changed later",
    "mesh-off": "projectcalico/calico PR 4992: reflectors' sessions first, the mesh off last",
}
"""Keys with what stands behind them."""
