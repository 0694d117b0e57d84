"""Every case of ``cases/catalogue``: a host in, what an item says of its objects out."""

import json
from pathlib import Path

import pytest

from support.cases import CASES, assert_contains, load, params, patched_host
from virtboost.catalogue.catalogue import ITEMS
from virtboost.check.judge import check
from virtboost.model.document import to_json

BY_ID = {item.id: item for item in ITEMS}


@pytest.mark.parametrize("file", params("catalogue"))
def test_item(file: Path) -> None:
    case = load(file)
    report = check(patched_host(case["host"]), [BY_ID[case["item"]]], name="case")
    results = {result["object"]: result for result in json.loads(to_json(report))["results"]}
    assert_contains(results, case["expected"])
    assert len(results) == len(case["expected"]), f"also {set(results) - set(case['expected'])}"


def test_every_item_is_seen_with_each_verdict() -> None:
    seen: dict[str, set[str]] = {item.id: set() for item in ITEMS}
    for file in CASES.glob("catalogue/*/*.json"):
        case = load(file)
        seen[case["item"]] |= {result["verdict"] for result in case["expected"].values()}
    verdicts = {"ok", "finding", "not_applicable", "unknown"}
    lacking = {item: sorted(verdicts - said) for item, said in seen.items() if verdicts - said}
    assert not lacking
