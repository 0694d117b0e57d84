"""etcd as a datastore, one member, and what it says of those that watch it."""

from __future__ import annotations

import http.client
import re
import time
from contextlib import suppress
from pathlib import Path

from virtboost.net.emulate import felix
from virtboost.net.emulate.daemon import DaemonError, Process
from virtboost.net.emulate.space import RUN
from virtboost.net.emulate.speaker import DATASTORE

PROGRAM = "etcd"

UP_S = 60
"""How long it may take until it answers."""

SETTLED_S = 0.5
"""Without a further event: all that there were are sent."""

URL = f"http://{DATASTORE}:{felix.PORT}"


def begin(folder: Path, url: str) -> Process:
    """Start a member for clients at a URL, with its data in a folder."""
    argv = (PROGRAM, "--data-dir", "data", "--logger", "zap", "--log-level", "error",
            "--listen-client-urls", url, "--advertise-client-urls", url)  # fmt: skip
    return Process(argv, folder, environment={"ETCD_UNSUPPORTED_ARCH": "arm64"})


class Etcd:
    """An etcd on the bridge of the nodes, with its data in memory."""

    def __init__(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            DaemonError: It does not.
        """
        folder = RUN / "etcd"
        folder.mkdir()
        self._process = begin(folder, URL)
        self._connection = http.client.HTTPConnection(DATASTORE, felix.PORT, timeout=UP_S)
        self._process.until(self._answers, UP_S)

    def put(self, prefix: str, count: int) -> None:
        """Write some keys, one after the other."""
        for number in range(count):
            key, value = felix.coded(f"{prefix}{number}"), felix.coded("{}")
            felix.call(self._connection, "/v3/kv/put", key=key, value=value)

    def watchers(self) -> int:
        """Return how many watches there are."""
        return self._metric("watcher_total")

    def events(self) -> int:
        """Return how many events it has sent to those that watch, once it sends no more."""
        before = -1
        while (found := self._metric("events_total")) != before:
            before = found
            time.sleep(SETTLED_S)
        return found

    def cpu_s(self) -> float:
        """Return its CPU seconds."""
        return self._process.cpu_s()

    def _answers(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return bool(self._metrics())
        self._connection.close()
        return False

    def _metrics(self) -> str:
        self._connection.request("GET", "/metrics")
        return self._connection.getresponse().read().decode()

    def _metric(self, name: str) -> int:
        found = re.search(rf"^etcd_debugging_mvcc_{name} (\S+)$", self._metrics(), re.MULTILINE)
        if found is None:
            raise DaemonError(f"etcd does not tell {name}")
        return int(float(found[1]))
