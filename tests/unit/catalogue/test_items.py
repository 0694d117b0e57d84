"""What every item owes: an id, its sources, commands that a shell can read, things a scan reads."""

import ast
import importlib
import pkgutil
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from support.hosts import case_hosts
from virtboost import catalogue, scan
from virtboost.catalogue.catalogue import ITEMS
from virtboost.catalogue.item import NO_FIGURE, AnyItem
from virtboost.catalogue.wanted import parse_wanted
from virtboost.check.judge import check
from virtboost.model.host import Host
from virtboost.model.service import Service
from virtboost.scan import service
from virtboost.scan.kernel import MODULES, SYSCTL_NAMES

BY_ID = {item.id: item for item in ITEMS}

each_item = pytest.mark.parametrize("item", [pytest.param(item, id=item.id) for item in ITEMS])


def declared() -> Iterator[tuple[str, AnyItem]]:
    """Yield every item with the module that declares it."""
    for info in pkgutil.iter_modules(catalogue.__path__):
        module = importlib.import_module(f"virtboost.catalogue.{info.name}")
        if info.name != "catalogue":
            yield from ((info.name, item) for item in getattr(module, "ITEMS", ()))


def test_every_declared_item_is_in_the_catalogue_once() -> None:
    assert sorted(item.id for _, item in declared()) == sorted(item.id for item in ITEMS)
    assert len(BY_ID) == len(ITEMS)


def test_an_id_begins_with_the_noun_of_its_module() -> None:
    """A noun with many items has a module for each part: ``guest_memory`` declares ``guest.*``."""
    for module, item in declared():
        noun, _, what = item.id.partition(".")
        assert module.split("_")[0] == noun, f"{item.id} is declared in {module}"
        assert re.fullmatch(r"[a-z][a-z0-9_]*", what), item.id


@each_item
def test_conflicts_are_mutual(item: AnyItem) -> None:
    for other in item.conflicts:
        assert other != item.id
        assert other in BY_ID, f"{item.id} conflicts with {other}, which is no item"
        assert item.id in BY_ID[other].conflicts, f"{other} does not know of {item.id}"


def test_every_conflict_rule_is_carried_out() -> None:
    carried = {item.rule for item in ITEMS if item.rule is not None}
    assert carried == {f"R{number}" for number in range(1, 22)}


@each_item
def test_a_figure_has_its_source_and_conditions(item: AnyItem) -> None:
    if item.effect == NO_FIGURE:
        return
    assert re.search(r"\d", item.effect.figure), f"{item.effect.figure} is no figure"
    assert item.effect.source and item.effect.conditions


@each_item
def test_texts_are_there_and_plain(item: AnyItem) -> None:
    for text in (item.title, item.why, item.risk, *item.sources):
        assert text.strip() == text != ""
        assert "\n" not in text
    assert not item.title.endswith(".") and len(item.title) <= 80
    assert item.why.endswith(".")
    assert item.sources and item.platforms
    assert item.rule is None or re.fullmatch(r"R([1-9]|1\d|2[01])", item.rule)


@each_item
def test_commands_are_shell(item: AnyItem) -> None:
    for script in (item.by_hand, item.undo_by_hand):
        assert script.strip()
        subprocess.run(["sh", "-n"], input=script, text=True, check=True, capture_output=True)
        assert not re.search(r"<[\w ]+>", re.sub(r"#.*", "", script)), f"{script}: not a shell's"


@each_item
def test_a_wanted_value_is_one_that_a_site_could_write(item: AnyItem) -> None:
    if item.wanted is not None:
        assert parse_wanted(item.wanted.text) == item.wanted


class Asked(dict[str, Any]):
    """A dictionary that remembers what it was asked for."""

    def __init__(self, values: dict[str, Any], asked: set[str]) -> None:
        super().__init__(values)
        self.asked = asked

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


def remembering(host: Host, sysctls: set[str], modules: set[str]) -> Host:
    kernel = msgspec.structs.replace(
        host.kernel,
        sysctls=Asked(host.kernel.sysctls, sysctls),
        module_parameters=Asked(host.kernel.module_parameters, modules),
    )
    return msgspec.structs.replace(host, kernel=kernel)


def test_a_scan_reads_what_items_look_at() -> None:
    sysctls: set[str] = set()
    modules: set[str] = set()
    for host in case_hosts():
        check(remembering(host, sysctls, modules), ITEMS, name="case", proof_of_concept=True)
    read = {
        f"{folder.removeprefix('/proc/sys/').replace('/', '.')}.{name}"
        for folder, names in SYSCTL_NAMES.items()
        for name in names
    }
    assert "kernel.numa_balancing" in sysctls
    assert sysctls <= read
    assert modules <= set(MODULES)


def test_services_that_items_look_at_are_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    find = Host.service

    def remember(host: Host, name: str) -> Service | None:
        asked.add(name)
        return find(host, name)

    monkeypatch.setattr(Host, "service", remember)
    for host in case_hosts():
        check(host, ITEMS, name="case", proof_of_concept=True)
    assert "irqbalance" in asked
    assert asked <= set(service.NAMES)


def first_texts(package: ModuleType, method: str) -> set[str]:
    """Return the first argument of every call of ``method`` in a package, where it is a text."""
    (folder,) = package.__path__
    calls = (
        node
        for file in Path(folder).glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == method
        and node.args
    )
    arguments = (call.args[0] for call in calls)
    return {
        node.value
        for node in arguments
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_gaps_that_items_ask_for_are_recorded_by_a_scan() -> None:
    """A gap of another name would never be there: *does not apply* in place of *cannot tell*."""
    declared = {condition.gap for item in ITEMS for condition in item.applies}
    declared |= {item.subjects.gap for item in ITEMS}
    asked = {gap for gap in declared if gap is not None} | first_texts(catalogue, "gap")
    assert asked <= first_texts(scan, "add")
