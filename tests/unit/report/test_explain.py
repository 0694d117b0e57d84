"""The page of an item."""

from collections.abc import Callable

import pytest

from support.findings import ITEMS
from virtboost.catalogue.catalogue import ITEMS as CATALOGUE
from virtboost.report.explain import item_page


def text(item_id: str, width: int = 80) -> str:
    item = next(item for item in (*ITEMS, *CATALOGUE) if item.id == item_id)
    return "".join(f"{line.plain}\n" for line in item_page(item, width=width))


@pytest.mark.parametrize("item_id", ["memory.thp", "guest.memory-strict", "irq.nic-on-node"])
def test_golden(golden: Callable[[str, str], None], item_id: str) -> None:
    golden(f"report/explain-{item_id}.txt", text(item_id))


@pytest.mark.parametrize("width", [60, 80, 132])
@pytest.mark.parametrize("item_id", [item.id for item in CATALOGUE])
def test_every_page_of_the_catalogue_fits(item_id: str, width: int) -> None:
    lines = text(item_id, width).splitlines()
    assert max(len(line) for line in lines) <= width


def test_each_command_is_a_line_of_its_own() -> None:
    lines = text("guest.memory-strict").splitlines()
    assert "  virsh shutdown GUEST" in lines
