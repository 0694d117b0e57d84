"""Every case of ``cases/catalogue``: a host in, what an item says of its objects out."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.cases import CASES, assert_contains, load, params, patched_host
from virtboost.catalogue.catalogue import ITEMS
from virtboost.check.judge import check
from virtboost.model.document import to_json

BY_ID = {item.id: item for item in ITEMS}


def items_of(case: dict[str, Any]) -> list[str]:
    """Return the ids that a case is about: its ``item``, or all of its ``items``."""
    return case["items"] if "items" in case else [case["item"]]


@pytest.mark.parametrize("file", params("catalogue"))
def test_item(file: Path) -> None:
    case = load(file)
    for item in items_of(case):
        host = patched_host(case["host"])
        report = check(host, [BY_ID[item]], name="case", proof_of_concept=True)
        results = {result["object"]: result for result in json.loads(to_json(report))["results"]}
        assert_contains(results, case["expected"], item)
        assert len(results) == len(case["expected"]), (
            f"{item}: also {set(results) - set(case['expected'])}"
        )


def test_every_item_is_seen_with_each_verdict() -> None:
    seen: dict[str, set[str]] = {item.id: set() for item in ITEMS}
    for file in CASES.glob("catalogue/*/*.json"):
        case = load(file)
        for item in items_of(case):
            seen[item] |= {result["verdict"] for result in case["expected"].values()}
    verdicts = {"ok", "finding", "not_applicable", "unknown"}
    lacking = {item: sorted(verdicts - said) for item, said in seen.items() if verdicts - said}
    assert not lacking
