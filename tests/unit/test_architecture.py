"""The rules of the house that no linter knows, over the source as it is."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import statistics
import sys
import typing
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import ModuleType

import msgspec
import pytest

import virtboost
from virtboost import model
from virtboost.model import change
from virtboost.model.cpuset import CpuSet

SOURCE = Path(virtboost.__file__).parent
TESTS = Path(__file__).parents[1]

FILES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))

PURE = ("model", "catalogue", "check", "plan", "emit", "net", "scan", "report")
"""Packages whose functions give the same output for the same input."""

NOT_PURE = {
    f"net/{name}.py"
    for package, names in {
        "emulate": "apart bird daemon ends etcd fault felix frr launch logical loss plane routed router "
        "space stage stored switch switched watch",
        "validate": "conduct datastore machine peers speaker stage switch",
    }.items()
    for name in (f"{package}/{each}" for each in names.split())
}
"""Of these packages."""

FORBIDDEN_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint"}

FORBIDDEN_METHODS = set(dir(Path)) - set(dir(PurePath)) - {"group", "replace"}
"""What a ``Path`` can do that a ``PurePath`` cannot; but for methods of expressions and texts."""


def parsed(path: Path) -> ast.Module:
    return ast.parse((SOURCE / path).read_text())


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.parts[0] in PURE and str(p) not in NOT_PURE], ids=str
)
def test_pure_code_touches_no_file(path: Path) -> None:
    """import-linter sees imports; the builtin ``open`` and methods of ``Path`` are none.

    Templates that are part of the package are read with ``importlib.resources``.
    """
    if "importlib.resources" in (SOURCE / path).read_text():
        return
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name):
                assert called.id not in FORBIDDEN_CALLS, f"{path}:{node.lineno}"
            if isinstance(called, ast.Attribute):
                assert called.attr not in FORBIDDEN_METHODS, f"{path}:{node.lineno}: {called.attr}"


def structs() -> Iterator[tuple[ModuleType, type[msgspec.Struct]]]:
    """Yield every structure of the model with its module."""
    for found in pkgutil.iter_modules(model.__path__):
        module = importlib.import_module(f"{model.__name__}.{found.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__:
                yield module, kind


class Field(typing.NamedTuple):
    """A field of the model."""

    kind: type[msgspec.Struct]
    name: str
    type: object
    docstring: str

    def __str__(self) -> str:
        return f"{self.kind.__name__}.{self.name}"


def fields(kind: type[msgspec.Struct]) -> Iterator[Field]:
    """Yield the fields that a class declares itself."""
    types = typing.get_type_hints(kind)
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    for node, after in zip(body.body, [*body.body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            text = after.value if isinstance(after, ast.Expr) else None
            words = text.value if isinstance(text, ast.Constant) else ""
            yield Field(kind, node.target.id, types[node.target.id], str(words))


ALL_FIELDS = [field for _, kind in structs() for field in fields(kind)]


def parts(kind: object) -> Iterator[object]:
    """Yield a type and the types in it; the keys of a mapping are not its quantity."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is dict:
        arguments = arguments[1:]
    yield kind
    for argument in arguments:
        yield from parts(argument)


UNIT = re.compile(
    r"(^|_)(bytes|count|counts|s|us|ns|hz|bps|mtps|gtps|percent|ratio|c|j|w|id|ids)$|^(id|number)$"
)
"""Base units of the model, and ids, which have none."""

WITHOUT_UNIT = {
    "load": "tasks, as in /proc/loadavg",
    "level": "of a cache: 1 is nearest to the core",
    "distances": "of the SLIT: 10 is local, no unit",
    "combined": "queues, in the words of ethtool -l",
    "combined_max": "queues, in the words of ethtool -l",
    "rx": "queues, in the words of ethtool -l",
    "rx_max": "queues, in the words of ethtool -l",
    "tx": "queues, in the words of ethtool -l",
    "tx_max": "queues, in the words of ethtool -l",
    "queues": "as in libvirt's XML",
    "iothread": "number of an I/O thread, as in libvirt's XML",
    "caches": "level of the guest's cache by name",
    "sockets": "of a guest's topology, as in libvirt's XML",
    "dies": "of a guest's topology, as in libvirt's XML",
    "clusters": "of a guest's topology, as in libvirt's XML",
    "cores": "of a guest's topology, as in libvirt's XML",
    "threads": "of a guest's topology, as in libvirt's XML",
    "link_width": "lanes of PCIe",
    "max_link_width": "lanes of PCIe",
    "sriov_total_vfs": "virtual functions, in the words of sysfs",
    "sriov_num_vfs": "virtual functions, in the words of sysfs",
    "iommu_group": "number of a group",
    "mtu": "bytes, in everybody's word",
    "total": "pages of a pool",
    "free": "pages of a pool",
    "surplus": "pages of a pool",
    "cgroup_version": "a version",
    "cpu_shares": "a weight, in the words of docker",
    "ksm_run": "a mode, as in sysfs",
    "ksm_merge_across_nodes": "a switch, as in sysfs",
    "ksm_pages_sharing": "pages, in the words of sysfs",
    "vcpu": "number of a vCPU, as in libvirt's XML",
    "cell": "number of a guest's NUMA cell, as in libvirt's XML",
    "objective": "parts that are added up, each in its own unit",
    "gap": "a ratio, in the word of mathematical optimisation",
    "vcpus": "a count, in the word of every hypervisor",
    "iothreads": "a count, as in libvirt's XML",
    "cells": "a count of a guest's NUMA cells, as in libvirt's XML",
    "cpus": "a count of pCPUs, in a file that people write",
    "nodes": "ids of NUMA nodes, in a file that people write",
    "pins": "ids of pCPUs by vCPU, in a file that people write",
    "name": "of a server or request: the number of its row in a table without names",
    "node": "id of a NUMA node, in the words of everybody's tables",
    "server": "a name, or the number of a row",
    "request": "a name, or the number of a row",
    "requests": "a count",
    "to_server": "a name, or the number of a row",
    "emptied": "names of servers",
    "running": "a count of guests",
    "now": "a count of guests",
    "moved": "a count of guests",
    "replanned": "a count of guests",
    "replan_moves": "a count of guests",
    "used_cpus": "a count of pCPUs",
    "free_cpus": "a count of pCPUs",
    "whole_clusters": "a count of CPU clusters",
    "placed": "a count of requests",
    "refused": "a count of requests",
    "servers": "a count",
    "servers_used": "a count of servers",
    "removed": "a count of servers",
    "left": "a count of servers",
    "violations": "a count",
    "stranded_cpus": "a count of pCPUs",
    "bios_settings": "values in the words of the BIOS",
}
"""Numbers whose name has no unit, and what they are."""


def test_a_quantity_has_its_unit_in_its_name() -> None:
    bare = [
        str(field)
        for field in ALL_FIELDS
        if field.kind.__module__ != change.__name__
        and {int, float} & {part for part in parts(field.type) if isinstance(part, type)}
        and not UNIT.search(field.name)
        and field.name not in WITHOUT_UNIT
    ]
    assert bare == []


def test_no_name_without_a_unit_is_on_the_list_in_vain() -> None:
    assert set(WITHOUT_UNIT) <= {field.name for field in ALL_FIELDS}


SELF_EVIDENT = {
    *("schema", "name", "id", "number"),
    *("sockets", "dies", "clusters", "cores", "threads"),  # of GuestTopology
    *("combined", "combined_max", "rx", "rx_max", "tx", "tx_max"),  # of Channels
}
"""Fields that the class speaks for."""


def test_a_field_says_what_it_is() -> None:
    """In a change the class says it; elsewhere the field does, unless it is a thing of the model.

    A field that may be None says when it is.
    """
    silent = []
    for field in ALL_FIELDS:
        if field.kind.__module__ == change.__name__:
            continue
        types = list(parts(field.type))
        thing = any(isinstance(p, type) and issubclass(p, (msgspec.Struct, CpuSet)) for p in types)
        named = field.name in SELF_EVIDENT or UNIT.search(field.name)
        optional = type(None) in types
        told = field.docstring or (not optional and (thing or named))
        explained = not optional or "None" in f"{field.docstring} {field.kind.__doc__}"
        if not told or not explained:
            silent.append(str(field))
    assert silent == []


def nouns(package: str) -> set[str]:
    return {path.stem for path in FILES if path.parent == Path(package) and path.stem[0] != "_"}


SCANNED = sorted(nouns("scan") & nouns("model") - {"host"})
"""Nouns that a scan fills; a module of ``scan`` with another name serves one of them."""


@pytest.mark.parametrize("noun", SCANNED)
def test_a_noun_of_the_scan_has_cases(noun: str) -> None:
    assert list((TESTS / "cases" / "scan" / noun).glob("*.json")), f"no cases/scan/{noun}/*.json"


def test_cases_are_of_nouns_that_are_there() -> None:
    assert {folder.name for folder in (TESTS / "cases" / "scan").iterdir()} == set(SCANNED)


def test_sizes() -> None:
    """No function is over 60 lines, no file over 500; how long they are is told with ``-s``."""
    lengths = []
    for path in FILES:
        lines = (SOURCE / path).read_text().count("\n")
        assert lines <= 500, f"{path} has {lines} lines"
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef):
                length = body_lines(node)
                lengths.append(length)
                assert length <= 60, f"{path}:{node.lineno}: {node.name} has {length} lines"
    median, tenth = statistics.median(lengths), statistics.quantiles(lengths, n=10)[-1]
    sys.stdout.write(f"{len(lengths)} functions, median {median:g} lines, a tenth over {tenth:g}\n")


def body_lines(function: ast.FunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    body = function.body
    if ast.get_docstring(function):
        body = body[1:]
    return function.end_lineno - body[0].lineno + 1 if body and function.end_lineno else 0
