"""A real ovs-vswitchd that gets many rules in one bundle."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from virtboost.net.emulate.daemon import DaemonError, Process, shown
from virtboost.net.emulate.switch import SCHEMA
from virtboost.net.validate.rung import PODS, RuleRun, RuleRung

PROGRAMS = ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl")

PATIENCE_S = 30


def climb(rung: RuleRung, folder: Path) -> RuleRun:
    """Run one rung: a userspace bridge, and rules that send an address of a pod into a tunnel.

    Raises:
        DaemonError: A daemon ended, or refused.
    """
    os.environ.update(OVS_RUNDIR=str(folder), OVS_LOGDIR=str(folder), OVS_DBDIR=str(folder))
    database = f"unix:{folder}/db.sock"
    shown("ovsdb-tool", "create", str(folder / "conf.db"), SCHEMA)
    server = Process(("ovsdb-server", str(folder / "conf.db"), f"--remote=p{database}"), folder)
    server.until((folder / "db.sock").exists, PATIENCE_S)
    shown("ovs-vsctl", f"--db={database}", "--no-wait", "init")
    switch = Process(("ovs-vswitchd", database), folder)
    bridge = ("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
    shown("ovs-vsctl", f"--db={database}", f"--timeout={PATIENCE_S}", *bridge)
    memory, cpu, began = switch.memory_bytes(), switch.cpu_s(), time.monotonic()
    _add(rung)
    return RuleRun(
        rung=rung,
        seconds=time.monotonic() - began,
        cpu_s=switch.cpu_s() - cpu,
        memory_bytes=switch.memory_bytes() - memory,
    )


def _add(rung: RuleRung) -> None:
    text = "".join(f"{line}\n" for line in _rules(rung.rules))
    done = subprocess.run(
        ("ovs-ofctl", "--bundle", "add-flows", "br0", "-"),
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise DaemonError(f"ovs-ofctl: {done.stderr.strip()}")


def _rules(count: int) -> Iterator[str]:
    first = int(PODS.network_address)
    for place in range(count):
        target = IPv4Address(first + place)
        yield f"priority=100,ip,nw_dst={target},actions=set_field:{place}->tun_id,in_port"
