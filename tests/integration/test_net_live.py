"""``net describe --kubeconfig``: a real API server with a cluster's objects, read by kubectl.

The peer is etcd and kube-apiserver of ``shared/peers/kubernetes``; ``K8S_BIN`` is the folder of the
programs that it builds, with reflect2 1.0.2 in the place of the vendored one, which crashes on CRDs
when built by Go 1.18 or later (Debian: golang-github-modern-go-reflect2-dev).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from support.daemon import PATH, need, running
from virtboost.errors import BadAnswer, CommandFailed, InputError
from virtboost.net import live
from virtboost.net.cluster import FelixConfiguration, Pod
from virtboost.transport.program import Ended, local_program

PEER = Path(__file__).parents[2].parent / "shared" / "peers" / "kubernetes" / "up.sh"

Object = dict[str, Any]


class Server:
    """An API server in a network of its own."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.inside = ("nsenter", f"--net=/proc/{pid}/ns/net")
        self.kubeconfig = folder / "kubeconfig"

    def kubectl(self, *argv: str, stdin: str = "") -> str:
        done = subprocess.run(
            (*self.inside, "kubectl", "--kubeconfig", str(self.kubeconfig), *argv),
            input=stdin, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self, *objects: Object) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl("create", "--validate=false", "-f", "-", stdin=text)

    def program(self, argv: Sequence[str], limit_s: float) -> Ended:
        return local_program((*self.inside, *argv), limit_s)

    def describe(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return describe(*argv, inside=self.inside)


def describe(
    *argv: str, inside: tuple[str, ...] = (), path: str = PATH
) -> subprocess.CompletedProcess[str]:
    return run("describe", "--fabric", "l2", *argv, inside=inside, path=path)


def run(
    *argv: str, inside: tuple[str, ...] = (), path: str = PATH
) -> subprocess.CompletedProcess[str]:
    with TemporaryDirectory() as home:  # kubectl keeps answers there
        environment = {"PYTHONPATH": ":".join(sys.path), "PATH": path, "HOME": home}
        return subprocess.run(
            [*inside, sys.executable, "-m", "virtboost", "net", *argv],
            capture_output=True, text=True, check=False, env=environment, timeout=120,
        )  # fmt: skip


def node(number: int, architecture: str, rack: str) -> Object:
    addresses = [{"type": "InternalIP", "address": f"192.168.3.{number}"}]
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": f"kp{number}", "labels": {"rack": rack}},
        "status": {"nodeInfo": {"architecture": architecture}, "addresses": addresses},
    }  # fmt: skip


def pod(number: int, on: int, *, host: bool = False) -> Object:
    spec = {"containers": [{"name": "c", "image": "i"}], "nodeName": f"kp{on}", "hostNetwork": host}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"web-{number}", "namespace": "default"}, "spec": spec}  # fmt: skip


def resource(plural: str, kind: str) -> Object:
    """Return a definition that takes what it gets."""
    group = "crd.projectcalico.org"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": plural, "singular": plural[:-1], "kind": kind}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Cluster", "names": names, "versions": [version]},
    }  # fmt: skip


def calico(kind: str, name: str, **spec: Any) -> Object:
    return {"apiVersion": "crd.projectcalico.org/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}  # fmt: skip


RESOURCES = {
    "ippools": "IPPool",
    "bgpconfigurations": "BGPConfiguration",
    "bgppeers": "BGPPeer",
    "felixconfigurations": "FelixConfiguration",
}

OBJECTS: tuple[Object, ...] = (
    node(1, "arm64", "a"), node(2, "arm64", "b"), node(3, "amd64", "a"),
    *(pod(number, number % 3 + 1) for number in range(13)), pod(13, 1, host=True),
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": {"ports": [{"port": 80}]}},
    {"apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice", "metadata": {"name": "web-1", "namespace": "default"}, "addressType": "IPv4", "endpoints": [{"addresses": [f"10.244.0.{n}"]} for n in range(1, 6)], "ports": []},
    calico("IPPool", "pods-1", cidr="10.244.0.0/16", blockSize=27, ipipMode="Never", vxlanMode="Never"),
    calico("BGPConfiguration", "default", asNumber=64777, nodeToNodeMeshEnabled=False),
    calico("FelixConfiguration", "default", bpfEnabled=False),
    calico("BGPPeer", "clients", nodeSelector="!has(rr)", peerSelector="has(rr)"),
    calico("BGPPeer", "reflectors", nodeSelector="has(rr)", peerSelector="has(rr)"),
)  # fmt: skip

DUMPED = ("nodes,pods,services,endpointslices", *(f"{each}.crd.projectcalico.org" for each in RESOURCES))  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start the peer in namespaces of its own, which end with it, and fill it."""
    if not PEER.exists():
        pytest.skip(f"{PEER} is not here")
    programs = os.environ.get("K8S_BIN", "")
    if not Path(programs, "kube-apiserver").exists() or not programs:
        pytest.skip("K8S_BIN names no folder with kube-apiserver")
    need("kubectl", "etcd", "openssl", "curl", "bc", "unshare", "nsenter", "ip")
    folder = tmp_path_factory.mktemp("kubernetes")
    script = f'ip link set lo up; K8S_BIN={programs} "{PEER}" run; exec sleep infinity'
    argv = (
        "unshare",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        script,
    )
    log = folder / "log"
    with running(
        ("env", f"--chdir={folder}", *argv), log=log, ready=lambda: "apiserver ready" in log.read_text(), limit_s=120
    ) as process:  # fmt: skip
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        found = Server(int(children[0]), folder / "run")
        found.create(*(resource(plural, kind) for plural, kind in RESOURCES.items()))
        for plural in RESOURCES:
            found.kubectl("wait", "--for=condition=Established", f"crd/{plural}.crd.projectcalico.org")  # fmt: skip
        found.create(*OBJECTS)
        yield found


def test_a_cluster_is_described_as_its_dump_is(server: Server, tmp_path: Path) -> None:
    dump = tmp_path / "objects.json"
    dump.write_text(server.kubectl("get", ",".join(DUMPED), "-A", "-o", "json"))
    given = ("--services", "10.96.0.0/16")
    alive = server.describe("--kubeconfig", str(server.kubeconfig), *given)
    assert (alive.returncode, alive.stderr) == (0, "")
    assert alive.stdout == describe(str(dump), *given).stdout
    for line in (
        "- count: 2", "  racks: 2", "  architecture: aarch64", "pods_per_node: 5",  # 13 on 3 nodes
        "  count: 2", "  endpoints: 3",  # with the API's own service; 5 behind 2
        "  - 10.244.0.0/16", "  block: 27", "as_number: 64777", "running: calico-reflectors",
    ):  # fmt: skip
        assert f"{line}\n" in alive.stdout, alive.stdout


PLANNED = """\
nodes: 3
pods_per_node: 30
services: {count: 2, endpoints: 3}
fabric: {kind: l2}
addresses: {pods: [10.244.0.0/16], services: 10.96.0.0/16, nodes: 192.168.3.0/24}
"""

DRIFTED = """\
3 nodes against calico-mesh: 7 differences
  cluster: design: calico-reflectors, planned: calico-mesh
  IPPool 10.244.0.0/16: blockSize: 27, planned: 26
  IPPool 10.244.0.0/16: natOutgoing: False, planned: True
  BGPConfiguration default: asNumber: 64777, planned: 64512
  BGPConfiguration default: nodeToNodeMeshEnabled: False, planned: True
  BGPPeer clients: there, planned: absent
  BGPPeer reflectors: there, planned: absent
"""


def test_a_cluster_is_held_against_its_plan(server: Server, tmp_path: Path) -> None:
    dump, planned = tmp_path / "objects.json", tmp_path / "net.yaml"
    dump.write_text(server.kubectl("get", ",".join(DUMPED), "-A", "-o", "json"))
    planned.write_text(PLANNED)
    alive = run("drift", str(planned), "--kubeconfig", str(server.kubeconfig), inside=server.inside)
    assert (alive.returncode, alive.stderr, alive.stdout) == (1, "", DRIFTED)
    assert run("drift", str(planned), str(dump)).stdout == DRIFTED


def test_lists_are_read_page_by_page(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = live.read_live(server.kubeconfig, "x", live.KINDS, server.program, lambda _: None)
    monkeypatch.setattr(live, "PAGE", 4)
    told: list[str] = []
    paged = live.read_live(server.kubeconfig, None, live.KINDS, server.program, told.append)
    assert paged == whole
    assert len(paged.of(Pod)) == 14
    assert paged.of(FelixConfiguration)
    described = live.read_live(
        server.kubeconfig, None, live.TO_DESCRIBE, server.program, told.append
    )
    assert described.objects == tuple(
        each for each in paged.objects if not isinstance(each, FelixConfiguration)
    )
    counts = [line.rpartition(" ")[2] for line in told if line.startswith("/api/v1/pods")]
    assert counts == 2 * ["4", "8", "12", "14"]


def test_what_may_not_be_read_is_told(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(server.kubeconfig.read_text().replace("token: secret-token", "token: secret-token, as: guest"))  # fmt: skip
    done = server.describe("--kubeconfig", str(path))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert 'nodes is forbidden: User "guest" cannot list resource "nodes"' in done.stderr
    path.write_text(server.kubeconfig.read_text().replace("secret-token", "wrong"))
    done = server.describe("--kubeconfig", str(path))
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "Unauthorized" in done.stderr or "must be logged in" in done.stderr
    with pytest.raises(CommandFailed, match="kubectl failed with status 1"):
        live.read_live(path, None, live.KINDS, server.program, lambda _: None)


CONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


@pytest.mark.parametrize(
    ("text", "argv", "status", "told"),
    [
        (CONFIG, (), 3, "The connection to the server 127.0.0.1:1 was refused"),
        (CONFIG.replace("127.0.0.1:1", "nowhere.invalid"), (), 3, "Unable to connect to the server: "),
        (CONFIG, ("--context", "y"), 2, "context"),
        (CONFIG.replace("current-context: x\n", ""), (), 2, "current-context must exist"),
        ("", (), 2, "current-context must exist"),
        ("clusters: [", (), 2, "error loading config file"),
        (None, (), 2, "cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_no_way_to_a_cluster_is_one_line(
    text: str | None, argv: tuple[str, ...], status: int, told: str, tmp_path: Path
) -> None:
    need("kubectl")
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    done = describe("--kubeconfig", str(path), *argv)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.count("\n") == 1
    assert str(path) in done.stderr and told in done.stderr


@pytest.mark.parametrize(
    "argv", [(), ("objects.json", "--kubeconfig", "config"), ("objects.json", "--context", "x")]
)
def test_one_source_of_objects(argv: tuple[str, ...]) -> None:
    done = describe(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert "either OBJECTS.json, or --kubeconfig FILE" in done.stderr


def test_without_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(CONFIG)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("virtboost.transport.program.SEARCH_PATH", str(tmp_path))
    with pytest.raises(InputError, match="--kubeconfig needs kubectl: kubectl: No such file"):
        live.read_live(path, None, live.KINDS, local_program, lambda _: None)


def test_a_page_of_large_objects(tmp_path: Path) -> None:
    """Images make a node's status large: 20 MB in a page, of a kubectl that says so."""
    large = node(7, "arm64", "a")
    large["metadata"]["annotations"] = {"filler": "x" * 20_000_000}
    answers = {
        "/apis": {"groups": []},
        "/api/v1": {"resources": [{"name": "nodes"}, {"name": "pods/log"}]},
        "/api/v1/nodes?limit=500": {"items": [large], "metadata": {"resourceVersion": "1"}},
    }
    for number, answer in enumerate(answers.values()):
        (tmp_path / f"{number}.json").write_text(json.dumps(answer))
    cases = "".join(f"*'--raw {path} '*) cat {tmp_path}/{number}.json ;;\n" for number, path in enumerate(answers))  # fmt: skip
    (tmp_path / "kubectl").write_text(f'#!/bin/sh\ncase "$*" in\n{cases}esac\n')
    (tmp_path / "kubectl").chmod(0o755)
    (tmp_path / "config").write_text(CONFIG)
    given = ("--pods", "10.244.0.0/16", "--services", "10.96.0.0/16")
    done = describe("--kubeconfig", str(tmp_path / "config"), *given, path=f"{tmp_path}:{PATH}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "- count: 1\n" in done.stdout


def test_an_answer_that_is_none(tmp_path: Path) -> None:
    """A web server that is no API server answers all with a page."""

    def program(argv: Sequence[str], limit_s: float) -> Ended:
        return Ended(status=0, stdout="<html>" if "--raw" in argv else "{}", stderr="")

    with pytest.raises(BadAnswer, match="/apis is no answer of Kubernetes"):
        live.read_live(tmp_path / "kubeconfig", None, live.KINDS, program, lambda _: None)
