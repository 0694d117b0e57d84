"""``python -m virtboost.net.emulate.felix``: the part of Felix that VXLAN's tunnels take.

Tells the datastore of its node, watches it for others, and has the kernel's tables follow, as
Calico's ``vxlan_mgr.go`` does: an FDB entry, a neighbour and routes for each.  Knows etcd's JSON
gateway and nothing of policies.
"""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PORT = 2379

NODES = "/calico/nodes/"

EVERYTHING = ("/calico/", "/calico0")
"""All keys of Calico: from the first to before the second."""

DEVICE = "vxlan.calico"

PROTOCOL = 80
"""Of Felix's routes (``linux/rtnetlink.h`` has no name for it)."""


def call(connection: http.client.HTTPConnection, path: str, **body: object) -> bytes:
    """Send a request to etcd's gateway, and return its answer."""
    connection.request("POST", path, json.dumps(body))
    return connection.getresponse().read()


def coded(text: str) -> str:
    """Return a key or a value as the gateway has it."""
    return base64.b64encode(text.encode()).decode()


def watched(host: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the changes of all keys from the first on, several at a time, without an end."""
    first, last = EVERYTHING
    wanted = {"key": coded(first), "range_end": coded(last), "start_revision": "1"}
    connection = http.client.HTTPConnection(host, PORT)
    connection.request("POST", "/v3/watch", json.dumps({"create_request": wanted}))
    for line in connection.getresponse():
        yield json.loads(line)["result"].get("events", [])


def others(events: list[dict[str, Any]], own: str) -> list[dict[str, Any]]:
    """Return the nodes that events are about, without one's own."""
    changed = [each["kv"] for each in events]
    found = [
        json.loads(base64.b64decode(each["value"]))
        for each in changed
        if base64.b64decode(each["key"]).decode().startswith(NODES)
    ]
    return [each for each in found if each["address"] != own]


def device(told: dict[str, Any]) -> Iterator[str]:
    """Yield what makes the VXLAN device, which learns nothing."""
    own = told["own"]
    yield (
        f"link add {DEVICE} address {own['mac']} mtu {told['mtu']} type vxlan "
        f"id {told['network_id']} dev eth0 local {own['address']} dstport 4789 nolearning"
    )
    yield f"address add {own['tunnel']}/32 dev {DEVICE}"
    yield f"link set {DEVICE} up"


def forwarding(nodes: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the entries that say where tunnels end."""
    for each in nodes:
        yield f"fdb replace {each['mac']} dev {DEVICE} dst {each['address']} self permanent"


def routes(nodes: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the neighbours in tunnels, and the routes to pods by them."""
    for each in nodes:
        yield f"neigh replace {each['tunnel']} lladdr {each['mac']} dev {DEVICE} nud permanent"
        for block in each["blocks"]:
            yield (
                f"route replace {block} via {each['tunnel']} dev {DEVICE} onlink proto {PROTOCOL}"
            )


class Kernel:
    """``ip`` or ``bridge`` that takes lines for as long as there are some."""

    def __init__(self, program: str) -> None:
        """Start it."""
        self._process = subprocess.Popen((program, "-batch", "-"), stdin=subprocess.PIPE, text=True)

    def do(self, lines: Iterator[str]) -> None:
        """Give it some lines.

        Raises:
            BrokenPipeError: It did not take one before, and ended.
        """
        if self._process.stdin is not None:
            self._process.stdin.writelines(f"{line}\n" for line in lines)
            self._process.stdin.flush()


def main() -> None:
    """Follow the datastore until killed."""
    told = json.loads(Path("config").read_text())
    own = told["own"]
    if f"{DEVICE}:" not in Path("/proc/net/dev").read_text():
        text = "".join(f"{line}\n" for line in device(told))
        subprocess.run(("ip", "-batch", "-"), input=text, text=True, check=True)
    links, entries = Kernel("ip"), Kernel("bridge")
    store = http.client.HTTPConnection(told["datastore"], PORT)
    call(store, "/v3/kv/put", key=coded(NODES + own["address"]), value=coded(json.dumps(own)))
    for events in watched(told["datastore"]):
        if nodes := others(events, own["address"]):
            entries.do(forwarding(nodes))
            links.do(routes(nodes))


if __name__ == "__main__":
    main()
