"""What other programs say of a host's topology: ``lstopo`` of hwloc and ``lscpu`` of util-linux."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from lxml import etree

from virtboost.model.cpuset import CpuSet

CACHE_TYPES = {"0": "Unified", "1": "Data", "2": "Instruction"}


class Lstopo:
    """The objects of ``lstopo --of xml``, as (id, CPUs) and the like."""

    def __init__(self, root: Path | None) -> None:
        """Ask about the files below ``root``, or about this machine."""
        environment = {**os.environ, "HWLOC_COMPONENTS": "linux,stop"}
        if root is not None:
            environment["HWLOC_FSROOT"] = str(root)
        printed = subprocess.run(
            ("lstopo", "--of", "xml", "--filter", "all:all", "--disallowed", "--no-io"),
            env=environment,
            capture_output=True,
            check=True,
        )
        self._top = etree.fromstring(printed.stdout)

    def _objects(self, kind: str) -> list[Any]:
        return [each for each in self._top.iter("object") if each.get("type") == kind]

    def sets(self, kind: str) -> set[tuple[int, CpuSet]]:
        """Return (id, CPUs) of each object of a type."""
        return {(int(each.get("os_index")), cpus(each)) for each in self._objects(kind)}

    def clusters(self) -> set[tuple[int, CpuSet]]:
        """Return (id, CPUs) of each CPU cluster."""
        groups = [each for each in self._objects("Group") if each.get("subtype") == "Cluster"]
        return {(int(each.get("os_index")), cpus(each)) for each in groups}

    def caches(self) -> set[tuple[int, str, int, CpuSet]]:
        """Return (level, type, bytes, CPUs) of each cache."""
        caches: list[Any] = [each for each in self._top.iter("object") if each.get("cache_size")]
        return {
            (
                int(each.get("depth")),
                CACHE_TYPES[each.get("cache_type")],
                int(each.get("cache_size")),
                cpus(each),
            )
            for each in caches
        }

    def nodes(self) -> set[tuple[int, CpuSet, int]]:
        """Return (id, CPUs, bytes of memory) of each NUMA node."""
        return {
            (int(each.get("os_index")), cpus(each), int(each.get("local_memory", "0")))
            for each in self._objects("NUMANode")
        }

    def pages(self) -> dict[int, dict[int, int]]:
        """Return the number of pages of each size on each NUMA node, base pages included."""
        return {
            int(each.get("os_index")): {
                int(page.get("size")): int(page.get("count")) for page in each.iter("page_type")
            }
            for each in self._objects("NUMANode")
        }

    def distances(self) -> dict[int, dict[int, int]]:
        """Return the SLIT; empty where hwloc has none."""
        for matrix in self._top.iter("distances2"):
            if matrix.get("type") == "NUMANode":
                ids = _numbers(matrix, "indexes")
                values = iter(_numbers(matrix, "u64values"))
                return {row: {column: next(values) for column in ids} for row in ids}
        return {}


def cpus(each: Any) -> CpuSet:
    """Read hwloc's form of a mask: ``0xff,,0x1``, where an empty word is zero."""
    words = each.get("cpuset").split(",")
    return CpuSet.parse_mask(",".join(word.removeprefix("0x") or "0" for word in words))


def _numbers(matrix: Any, tag: str) -> list[int]:
    return [int(word) for each in matrix.iter(tag) for word in each.text.split()]


class Lscpu:
    """The partitions of the CPUs that ``lscpu -p`` prints, and the caches of ``lscpu -C``."""

    def __init__(self, root: Path | None) -> None:
        """Ask about the files below ``root``, or about this machine.

        Raises:
            subprocess.CalledProcessError: It cannot read them.
        """
        self._root = () if root is None else ("--sysroot", str(root))
        lines = self._run("-p=CPU,CORE,SOCKET,NODE,CACHE").splitlines()
        self.names = [name for name in lines[3].removeprefix("# ").split(",") if name]
        self._rows = [line.replace(",,", ",", 1) for line in lines if not line.startswith("#")]

    def _run(self, *arguments: str) -> str:
        argv = ("lscpu", *self._root, *arguments)
        done = subprocess.run(
            argv, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}
        )
        return done.stdout

    def partition(self, column: str) -> set[CpuSet]:
        """Return the groups of CPUs with the same number in a column."""
        at = self.names.index(column)
        groups: dict[str, list[int]] = {}
        for row in self._rows:
            fields = row.split(",")
            groups.setdefault(fields[at], []).append(int(fields[0]))
        return {CpuSet(group) for group in groups.values()}

    def cache_sizes(self) -> dict[str, int]:
        """Return the bytes of one cache of each name: ``L1d``, ``L3``."""
        printed = json.loads(self._run("-B", "-J", "-C=NAME,ONE-SIZE"))
        return {cache["name"]: int(cache["one-size"]) for cache in printed["caches"]}
