"""Every case of ``cases/scan``: files and outputs of programs in, a part of the model out."""

import json
from pathlib import Path

import pytest

from support.cases import assert_contains, capture_of, load, params
from virtboost.model.document import to_json
from virtboost.scan.host import SOURCES, parse


@pytest.mark.parametrize("file", params("scan"))
def test_scan(file: Path) -> None:
    case = load(file)
    host = parse(capture_of(case, SOURCES))
    assert_contains(json.loads(to_json(host)), case["expected"])
