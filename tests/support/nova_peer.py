"""Real Nova and placement in one process, and Nova's own fit, from PyPI: peers of the planner."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from support.environments import PEERS, nova

PEER = PEERS / "nova" / "nova_peer.py"

PATIENCE_S = 120

MICROVERSION = "2.87"
"""Of the compute API; ``/topology`` came with 2.78."""


def fit(
    servers: Sequence[Sequence[tuple[int, int]]],
    requests: Sequence[tuple[Any, ...]],
    limit_s: float = 600,
) -> tuple[list[tuple[int, list[int]] | None], float]:
    """Return where Nova's fit puts each request, and how many seconds it took.

    Args:
        servers: pCPUs and MiB of each node of each server.
        requests: vCPUs, MiB, cells, strategy and group of each.
        limit_s: How long it may take.

    Raises:
        subprocess.TimeoutExpired: It took longer.
    """
    done = subprocess.run(
        [nova(), str(Path(__file__).with_name("nova_fit.py"))],
        input=json.dumps({"servers": servers, "requests": requests}),
        text=True,
        capture_output=True,
        check=True,
        timeout=limit_s,
    )
    found = json.loads(done.stdout)
    return found["placed"], found["seconds"]


class Nova(NamedTuple):
    """A Nova that answers."""

    compute: str
    images: Mapping[str, str]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer to a request."""
        request = urllib.request.Request(
            f"{self.compute}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "OpenStack-API-Version": f"compute {MICROVERSION}",
            },
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def aggregate(self, name: str, host: str, properties: Mapping[str, str]) -> None:
        """Make an aggregate of one host."""
        body = {"name": name, "availability_zone": None}
        made = self.call("POST", "/os-aggregates", {"aggregate": body})["aggregate"]["id"]
        for action in ({"add_host": {"host": host}}, {"set_metadata": {"metadata": properties}}):
            self.call("POST", f"/os-aggregates/{made}/action", action)

    def boot(self, name: str, image: str, flavor_id: str) -> tuple[str, str]:
        """Start a server and wait; return its id and its status."""
        asked = {"name": name, "flavorRef": flavor_id, "imageRef": self.images[image]}
        server = self.call("POST", "/servers", {"server": {**asked, "networks": "none"}})["server"]
        end = time.monotonic() + PATIENCE_S
        status = ""
        while status not in ("ACTIVE", "ERROR") and time.monotonic() < end:
            time.sleep(0.02)
            status = self.call("GET", f"/servers/{server['id']}")["server"]["status"]
        return server["id"], status

    def flavor(self, name: str, vcpus: int, memory_mib: int, specs: Mapping[str, str]) -> str:
        """Make a flavor; return its id."""
        body = {"name": name, "vcpus": vcpus, "ram": memory_mib, "disk": 1}
        made = self.call("POST", "/flavors", {"flavor": body})["flavor"]["id"]
        self.call("POST", f"/flavors/{made}/os-extra_specs", {"extra_specs": dict(specs)})
        return str(made)

    def delete(self, server_id: str) -> None:
        """Take a server away, and wait until it is gone."""
        self.call("DELETE", f"/servers/{server_id}")
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                self.call("GET", f"/servers/{server_id}")
            except urllib.error.HTTPError as error:
                assert error.code == 404
                return
            time.sleep(0.02)

    def nodes(self, server_id: str) -> list[dict[str, Any]]:
        """Return the cells of a server as ``/topology`` tells an administrator."""
        told = self.call("GET", f"/servers/{server_id}/topology")
        return list(told["nodes"])


@contextmanager
def serving(hosts: Mapping[str, Any], folder: Path) -> Iterator[Nova]:
    """Start Nova with some hosts; see ``shared/peers/nova/nova_peer.py`` for their form."""
    file = folder / "hosts.json"
    file.write_text(json.dumps(hosts))
    with (folder / "nova.log").open("w") as log:
        peer = subprocess.Popen(
            [nova(), str(PEER), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert peer.stdin is not None
        assert peer.stdout is not None
        try:
            told = json.loads(peer.stdout.readline())
            yield Nova(compute=told["compute"], images=told["images"])
        finally:
            peer.stdin.close()
            try:
                peer.wait(60)
            except subprocess.TimeoutExpired:
                peer.kill()
                peer.wait()
            peer.stdout.close()
