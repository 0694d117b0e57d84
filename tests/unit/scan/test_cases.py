"""Every case of ``cases/scan``: files and outputs of programs in, a part of the model out."""

import json
from pathlib import Path

import pytest

from support.cases import assert_contains, capture_of, load, params
from virtboost.model.document import to_json
from virtboost.scan.host import SOURCES, parse
from virtboost.transport.recorded import RecordedReader, Recording, save


@pytest.mark.parametrize("file", params("scan"))
def test_scan(file: Path) -> None:
    case = load(file)
    host = json.loads(to_json(parse(capture_of(case, SOURCES))))
    assert_contains(host, case["expected"])
    told = [*host["gaps"], *(gap["what"] for gap in host["gaps"])]
    assert [gap for gap in case.get("gaps", ()) if gap not in told] == []
    assert [text for text in case.get("absent", ()) if text in json.dumps(host)] == []


@pytest.mark.parametrize("recording", ["host", "host.tar"])
@pytest.mark.parametrize("file", params("scan"))
def test_a_recording_of_the_case_replays(file: Path, recording: str, tmp_path: Path) -> None:
    case = load(file)
    case["files"] = {"/proc/cpuinfo": "processor\t: 0"} | case.get("files", {})
    capture = capture_of(case, SOURCES)
    about = Recording(host="case", version="0", redacted=False, failures=capture.failures)
    save(capture, tmp_path / recording, about)
    assert parse(RecordedReader(tmp_path / recording).read(SOURCES)) == parse(capture)
