"""Recordings of machines of the lab, for the tests."""

from __future__ import annotations

import datetime
from pathlib import Path

from lab.packages import kernel_release, unpacked
from lab.qemu import first_bus
from lab.run import Running
from virtboost.cli.recording import recorder
from virtboost.transport.ssh import SshReader

ORACLES = {
    "lscpu.txt": "lscpu -p=CPU,NODE,SOCKET,CORE,CACHE",
    "lspci.txt": "lspci -Dnn",
    "lstopo.txt": "lstopo-no-graphics --no-io",
    "numactl.txt": "numactl --hardware",
}
"""What other programs say in the same boot."""

_CARD = """\
title = "{title}: {sockets} sockets, {nodes} NUMA nodes, {cpus} CPUs"
date = {date}
licence = "Apache-2.0"
kernel = "{kernel}"

# Not a real server: QEMU, emulated (TCG), that boots Debian 12's own kernel.  What the kernel tells
# is therefore what it tells on such a server.
provenance = "Made by the project's lab, machine {name}; 64 huge pages of 2 MiB on each node."
made_with = "python -m lab record {name} FOLDER"
redacted = ["serial numbers", "asset tags", "UUIDs", "MAC addresses", "public addresses", "secrets"]

# NUMA node of each PCI expander bridge by its first bus number, as QEMU was told.
[expander_bridges]
{bridges}

# What other programs said in the same boot; the tests compare the recording with them.
[oracles]
{oracles}
"""

_POOLS = (
    "for pool in /sys/devices/system/node/node*/hugepages/hugepages-2048kB; do "
    "echo 64 >$pool/nr_hugepages; done"
)


def record(running: Running, folder: Path) -> None:
    """Record a machine into a folder: the recording, its card, and what other programs say."""
    folder.mkdir(parents=True, exist_ok=True)
    running.ask(_POOLS)
    for name, command in ORACLES.items():
        (folder / name).write_text(f"{running.ask(command)}".rstrip("\n") + "\n")
    reader = SshReader(running.url, config=running.config)
    recorder(folder / "host.tar.zst", redact=True, many=False)(reader)
    (folder / "host.toml").write_text(_card(running))


def _card(running: Running) -> str:
    machine = running.machine
    nodes = sorted({device.node_id for device in machine.devices})
    return _CARD.format(
        title=machine.title,
        sockets=machine.sockets,
        nodes=machine.nodes,
        cpus=machine.cpus,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        kernel=kernel_release(unpacked(machine.arch)),
        name=machine.name,
        bridges="\n".join(f"{first_bus(node)} = {node}" for node in nodes),
        oracles="\n".join(f'"{name}" = "{command}"' for name, command in ORACLES.items()),
    )
