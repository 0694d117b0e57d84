"""The tables are those that ACPI's own disassembler reads, and say what the machine is."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from lab.acpi import pptt, srat
from lab.machine import MACHINES, Machine
from support.daemon import need

ARM = [machine for machine in MACHINES.values() if machine.arch == "aarch64"]


def told(table: bytes, folder: Path) -> str:
    need("iasl")
    (folder / "table.aml").write_bytes(table)
    done = subprocess.run(
        ["iasl", "-d", "table.aml"], cwd=folder, capture_output=True, text=True, check=False
    )
    text = (folder / "table.dsl").read_text()
    assert done.returncode == 0, done.stderr
    assert not re.search("invalid|incorrect|error", text + done.stderr, re.IGNORECASE)
    return text


@pytest.mark.parametrize("machine", ARM, ids=lambda machine: machine.name)
def test_srat(machine: Machine, tmp_path: Path) -> None:
    text = told(srat(machine), tmp_path)
    cpus = re.findall(r"Proximity Domain : (\w+)\n.*Acpi Processor UID : (\w+)\n", text)
    nodes = Counter(int(node, 16) for node, _ in cpus)
    assert nodes == dict.fromkeys(range(machine.nodes), machine.node_cpus)
    banks = re.findall(r"Base Address : (\w+)\n.*Address Length : (\w+)\n", text)
    total = sum(int(length, 16) for _, length in banks)
    assert total == (machine.node_memory_mib * machine.nodes + 64) << 20, "with a bank of flash"


@pytest.mark.parametrize("machine", ARM, ids=lambda machine: machine.name)
def test_pptt(machine: Machine, tmp_path: Path) -> None:
    text = told(pptt(machine), tmp_path)
    processors = text.count("[Processor Hierarchy Node]")
    clusters, cores = machine.nodes * machine.clusters, machine.cpus
    assert processors == machine.sockets + machine.nodes + clusters + cores
    assert text.count("[Cache Type]") == machine.nodes + 3 * cores
    assert len(re.findall(r"Physical package : 1", text)) == machine.sockets
