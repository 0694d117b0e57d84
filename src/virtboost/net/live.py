"""A running cluster's objects, read by ``kubectl`` with what the user's kubeconfig allows.

Source: Kubernetes API concepts: discovery, and lists in pages (``limit``, ``continue``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from virtboost.errors import BadAnswer, CommandFailed, HostTimeout, InputError, Unreachable
from virtboost.net.cluster import Cluster, KubeObject, read_page
from virtboost.transport.program import Ended, Program
from virtboost.transport.source import NOT_RUN, STOPPED

PAGE = 500
"""Objects of an answer: as many as kubectl asks for."""

MOST_BYTES = 1 << 28
"""Of an answer: half a megabyte for each object."""

MOST_OBJECTS = 5_000_000
"""Of a kind; more is no cluster."""

LIMIT_S = 120
"""For an answer, with what a plug-in for credentials takes."""

CALICO = ("crd.projectcalico.org", "projectcalico.org")
"""Calico's resources as it stores them, else as its API server shows them."""

KINDS = {
    "Node": ("nodes", ("",)),
    "Pod": ("pods", ("",)),
    "Service": ("services", ("",)),
    "EndpointSlice": ("endpointslices", ("discovery.k8s.io",)),
    "ServiceCIDR": ("servicecidrs", ("networking.k8s.io",)),
    "IPPool": ("ippools", CALICO),
    "BGPConfiguration": ("bgpconfigurations", CALICO),
    "BGPPeer": ("bgppeers", CALICO),
    "FelixConfiguration": ("felixconfigurations", CALICO),
}
"""Kinds that can be read, with the resource's name and the API groups that may have it."""

TO_DESCRIBE = tuple(kind for kind in KINDS if kind != "FelixConfiguration")
"""Kinds that a description comes from."""

Form = TypeVar("Form")


class _Version(Struct, frozen=True, rename="camel"):
    group_version: str


class _Group(Struct, frozen=True):
    name: str
    versions: tuple[_Version, ...]


class _Groups(Struct, frozen=True):
    groups: tuple[_Group, ...]


class _Resource(Struct, frozen=True):
    name: str


class _Resources(Struct, frozen=True):
    resources: tuple[_Resource, ...]


class _Server(NamedTuple):
    """A cluster, as kubectl reaches it."""

    kubeconfig: Path
    context: str | None
    program: Program

    def kubectl(self, *argv: str) -> Ended:
        """Run kubectl to its end.

        Raises:
            InputError: There is no kubectl.
        """
        chosen = () if self.context is None else ("--context", self.context)
        words = ("kubectl", "--kubeconfig", str(self.kubeconfig), *chosen, *argv)
        done = self.program(words, LIMIT_S)
        if done.status == NOT_RUN:
            raise InputError(f"--kubeconfig needs kubectl: {done.stderr.strip()}")
        return done

    def require_access(self) -> None:
        """Let kubectl say whether it can use the kubeconfig.

        Raises:
            InputError: It cannot, or there is no such context.
        """
        done = self.kubectl("config", "view", "--minify", "--output", "json")
        if done.status:
            raise InputError(f"{self.kubeconfig}: {_last(done)}")

    def answer(self, path: str) -> str:
        """Return what the API server answers.

        Raises:
            TransportError: It cannot be reached, it refuses, or it takes too long.
        """
        done = self.kubectl("get", "--raw", path, f"--request-timeout={LIMIT_S}s")
        if done.status == STOPPED:
            raise HostTimeout(str(self.kubeconfig), f"no answer on {path} in {LIMIT_S} s")
        if done.status and _last(done).startswith(("The connection", "Unable to connect")):
            raise Unreachable(str(self.kubeconfig), _last(done))
        if done.status:
            raise CommandFailed(str(self.kubeconfig), ("kubectl",), done.status, done.stderr)
        return done.stdout


def read_live(
    kubeconfig: Path,
    context: str | None,
    kinds: Collection[str],
    program: Program,
    tell: Callable[[str], None],
) -> Cluster:
    """Read what a cluster has of some kinds of objects.

    Args:
        kubeconfig: Where the cluster is, and who asks.
        context: One of its contexts; None: its current one.
        kinds: Of ``KINDS``.
        program: What runs kubectl.
        tell: Takes a line on how far it is.

    Raises:
        InputError: The kubeconfig is none, or there is no kubectl.
        TransportError: The cluster cannot be read: no connection, no permission.
        ParseError: An object is not of its kind.
    """
    server = _Server(kubeconfig, context, program)
    server.require_access()
    places = tuple(each for each in _places(server) if each[0] in kinds)
    return Cluster(
        objects=tuple(found for kind, path in places for found in _all(server, kind, path, tell))
    )


def _last(done: Ended) -> str:
    lines = done.stderr.strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else f"kubectl failed: {done.status}"


def _places(server: _Server) -> Iterator[tuple[str, str]]:
    """Yield kinds that the server has, with the paths of their lists."""
    groups = _decoded(server, "/apis", _Groups).groups
    served = {
        each.name: tuple(f"/apis/{version.group_version}" for version in each.versions)
        for each in groups
        if any(each.name in among for _, among in KINDS.values())
    }
    served[""] = ("/api/v1",)
    paths = [path for versions in served.values() for path in versions]
    names = {
        path: {each.name for each in _decoded(server, path, _Resources).resources} for path in paths
    }
    for kind, (resource, among) in KINDS.items():
        versions = [path for group in among for path in served.get(group, ())]
        found = next((path for path in versions if resource in names[path]), None)
        if found is not None:
            yield kind, f"{found}/{resource}"


def _decoded(server: _Server, path: str, form: type[Form]) -> Form:
    try:
        return msgspec.json.decode(server.answer(path), type=form)
    except msgspec.DecodeError as error:
        problem = f"{path} is no answer of Kubernetes: {error}"
        raise BadAnswer(str(server.kubeconfig), problem) from error


def _all(
    server: _Server, kind: str, path: str, tell: Callable[[str], None]
) -> Iterator[KubeObject]:
    count, token = 0, ""
    while True:
        query = {"limit": str(PAGE), **({"continue": token} if token else {})}
        objects, token = read_page(server.answer(f"{path}?{urlencode(query)}"), kind, path)
        yield from objects
        count += len(objects)
        tell(f"{path}: {count:,}")
        if not token:
            return
        if count > MOST_OBJECTS:
            raise BadAnswer(str(server.kubeconfig), f"{path}: more than {MOST_OBJECTS:,}")
