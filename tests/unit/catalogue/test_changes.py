"""What an item wants to change would satisfy it: carried out on the model, nothing is found."""

from pathlib import Path

import pytest

from support.cases import load, params, patched_host
from support.changes import carried_out
from virtboost.catalogue.catalogue import ITEMS
from virtboost.check.judge import check
from virtboost.model.finding import Result
from virtboost.model.host import Host

SHOWN_BY_HARDWARE = {"pci.iommu"}
"""Items whose change lets the hardware do what the item looks at."""


def judged(host: Host, item: str) -> dict[str, Result]:
    chosen = [each for each in ITEMS if each.id == item]
    report = check(host, chosen, name="case", proof_of_concept=True)
    return {result.object: result for result in report.results}


@pytest.mark.parametrize("file", params("catalogue"))
def test_the_changes_of_a_finding_satisfy_the_item(file: Path) -> None:
    case = load(file)
    host = patched_host(case["host"])
    for item in case.get("items", [case.get("item")]):
        for result in judged(host, item).values():
            if not result.changes or item in SHOWN_BY_HARDWARE:
                continue
            again = judged(carried_out(host, result.changes), item)[result.object]
            assert again.verdict != "finding", again
