"""FRR's bgpd as a reflector, alone: without zebra, every next hop is good."""

from __future__ import annotations

import contextlib
import json

from virtboost.net.emulate.daemon import Daemon, DaemonError, shown

PROGRAM = "/usr/lib/frr/bgpd"


class Bgpd(Daemon):
    """bgpd, as the user of this process."""

    title = "bgpd"
    argv = (PROGRAM, "-f", "config", "--skip_runas", "--no_zebra", "--vty_socket", ".",
            "--pid_file", "pid", "--log", "stdout")  # fmt: skip

    def established(self) -> int:
        """Return how many of its sessions are established; 0: it does not answer yet."""
        with contextlib.suppress(DaemonError):
            asked = ("vtysh", "--vty_socket", str(self.folder), "-d", "bgpd")
            told = json.loads(shown(*asked, "-c", "show bgp ipv4 unicast summary json"))
            return sum(each["state"] == "Established" for each in told.get("peers", {}).values())
        return 0
