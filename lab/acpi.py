"""ACPI tables that an aarch64 server of the lab has in place of QEMU's.

Linux takes them from the start of the initrd.  QEMU's PPTT knows no caches, and its SRAT leaves out
the second bank of flash, which the firmware calls memory: for memory of no node Linux 6.1 gives
NUMA up.  Source: ACPI 6.4, 5.2.16 (SRAT) and 5.2.29 (PPTT); Linux
Documentation/admin-guide/acpi/initrd_table_override.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from lab.machine import Machine

_OEM = (b"BOCHS ", b"BXPC    ", 2, b"VBST", 1)
"""A table takes the place of one of the same maker with a lower revision (QEMU's is 1)."""

_FLASH = (0x0400_0000, 0x0400_0000)
_MEMORY = 0x4000_0000
"""Where QEMU's ``virt`` machine has its second bank of flash (start, size), and memory."""

_PACKAGE, _ID_VALID, _LEAF = 1, 2, 8
_CACHE_VALID = 0x7F
_DATA, _INSTRUCTION, _UNIFIED = 0x00, 0x04, 0x08

L1, L2, L3_OF_A_CORE, LINE = 64 << 10, 512 << 10, 1 << 20, 128
"""Caches of a Kunpeng 920, in bytes; its L3 has lines of 128 bytes."""


def srat(machine: Machine) -> bytes:
    """Return the table of which CPU and which memory is of which node."""
    parts = [struct.pack("<IQ", 1, 0)]
    parts += [
        struct.pack("<BBIIII", 3, 18, cpu // machine.node_cpus, cpu, 1, 0)
        for cpu in range(machine.cpus)
    ]
    size = machine.node_memory_mib << 20
    banks = [(0, *_FLASH), *((n, _MEMORY + n * size, size) for n in range(machine.nodes))]
    parts += [
        struct.pack("<BBIHQQIIQ", 1, 40, node, 0, start, length, 0, 1, 0)
        for node, start, length in banks
    ]
    return _table(b"SRAT", 3, b"".join(parts))


def pptt(machine: Machine) -> bytes:
    """Return the table of sockets, dies with their L3, CPU clusters, and cores with L1 and L2."""
    nodes = _Nodes()
    cpu = 0
    for socket in range(machine.sockets):
        package = nodes.processor(_PACKAGE | _ID_VALID, 0, socket)
        for die in range(machine.dies):
            cores = machine.clusters * machine.cores
            l3 = nodes.cache(0, L3_OF_A_CORE * cores, 16, _UNIFIED, LINE)
            on_die = nodes.processor(_ID_VALID, package, socket * machine.dies + die, [l3])
            for _ in range(machine.clusters):
                inside = nodes.processor(_ID_VALID, on_die, cpu // machine.cores)
                for _ in range(machine.cores):
                    nodes.core(inside, cpu)
                    cpu += 1
    return _table(b"PPTT", 2, nodes.content)


class _Nodes:
    """The structures of a PPTT; each is named by its offset in the table."""

    def __init__(self) -> None:
        self.content = b""

    def processor(self, flags: int, parent: int, number: int, resources: Sequence[int] = ()) -> int:
        count = len(resources)
        fields = struct.pack("<BBHIIII", 0, 20 + 4 * count, 0, flags, parent, number, count)
        return self._put(fields + struct.pack(f"<{count}I", *resources))

    def cache(self, next_level: int, size: int, ways: int, kind: int, line: int) -> int:
        sets = size // ways // line
        fields = (1, 24, 0, _CACHE_VALID, next_level, size, sets, ways, kind, line)
        return self._put(struct.pack("<BBHIIIIBBH", *fields))

    def core(self, parent: int, cpu: int) -> None:
        l2 = self.cache(0, L2, 8, _UNIFIED, 64)
        firsts = [self.cache(l2, L1, 4, kind, 64) for kind in (_DATA, _INSTRUCTION)]
        self.processor(_ID_VALID | _LEAF, parent, cpu, firsts)

    def _put(self, structure: bytes) -> int:
        offset = _HEADER + len(self.content)
        self.content += structure
        return offset


_HEADER = 36


def _table(signature: bytes, revision: int, body: bytes) -> bytes:
    length = _HEADER + len(body)
    oem, table, number, creator, creator_revision = _OEM
    fields = (signature, length, revision, 0, oem, table, number, creator, creator_revision)
    whole = bytearray(struct.pack("<4sIBB6s8sI4sI", *fields) + body)
    whole[9] = -sum(whole) % 256
    return bytes(whole)
