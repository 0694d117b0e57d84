"""What an ordinary user may not read is a gap, the same for every way to read a host."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ordinary import run_as_nobody, virtboost_as_nobody

READ = """
import json, subprocess, sys
from pathlib import Path
from virtboost.transport.local import LocalReader
from virtboost.transport.recorded import RecordedReader
from virtboost.transport.shell import parse_answer, script
from virtboost.transport.source import Files, Links
how, root = sys.argv[1:]
base = root if how != "recorded" else ""
sources = [
    Files(f"{base}/etc", ("*",)),
    Files(f"{base}/etc", ("open", "closed", "missing")),
    Files(f"{base}/unlisted", ("open",)),
    Files(f"{base}/unlisted", ("*",)),
    Files(f"{base}/locked", ("open", "missing")),
    Files(f"{base}/locked/below", ("open",)),
    Files(f"{base}/locked/*", ("open",)),
    Links(f"{base}/locked", ("*",)),
    Files(f"{base}/missing/below/*", ("x",)),
]
if how == "local":
    capture = LocalReader().read(sources)
elif how == "recorded":
    capture = RecordedReader(Path(root)).read(sources)
else:
    done = subprocess.run((how, "-s"), input=script(sources, "@N").encode(), capture_output=True)
    capture = parse_answer(done.stdout, done.stderr, "@N", sources, "host")
found = [
    sorted(f"{directory}/{name}".removeprefix(base) for name in names)
    for source in sources
    for directory, names in (capture.entries(source) or {"": ()}).items()
]
failures = {(failure.path.removeprefix(base), failure.reason) for failure in capture.failures}
print(json.dumps([found, sorted(failures)]))
"""


@pytest.fixture
def tree() -> Iterator[Path]:
    """A folder that everybody may enter, and some of which only root may read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "sys" / "devices").mkdir(parents=True)
    for directory, mode in (("etc", 0o755), ("unlisted", 0o711), ("locked", 0o700)):
        (folder / directory / "below").mkdir(parents=True)
        (folder / directory / "open").write_text("text")
        (folder / directory / "below" / "open").write_text("text")
        (folder / directory / "closed").write_text("text")
        (folder / directory / "closed").chmod(0)
        (folder / directory).chmod(mode)
    yield folder
    for path in folder.iterdir():
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("how", ["local", "recorded", "dash", "bash"])
def test_what_may_not_be_read(tree: Path, how: str) -> None:
    if (tree.stat().st_uid) != 0:
        (tree / "locked").chmod(0)
        (tree / "unlisted").chmod(0o311)
    done = run_as_nobody(READ, how, str(tree))
    assert done.stderr == ""
    found, failures = json.loads(done.stdout)
    assert found == [["/etc/open"], ["/etc/open"], ["/unlisted/open"], [], [], [], [], [], []]
    assert failures == [
        ["/etc/closed", "permission denied"],
        ["/locked", "permission denied"],
        ["/locked/below", "permission denied"],
        ["/unlisted", "permission denied"],
    ]


def test_a_scan_as_an_ordinary_user() -> None:
    """It is the host as it is; what needs root is a gap and no error."""
    done = virtboost_as_nobody("scan", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    host = json.loads(done.stdout)
    assert host["topology"]["online"]
    assert [gap["path"] for gap in host["gaps"] if gap["what"] == "memory modules"] == ["dmidecode"]


def test_a_recording_of_another_user(tree: Path) -> None:
    locked = tree / "locked"
    done = virtboost_as_nobody("scan", "-H", str(locked))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"virtboost: {locked}: cannot be read: permission denied\n"
    done = virtboost_as_nobody("scan", "-H", str(tree / "etc" / "closed"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"virtboost: {tree}/etc/closed: cannot be read: permission denied\n"


def test_a_folder_that_may_not_be_written(tree: Path) -> None:
    for name in ("host.tar", "host"):
        path = tree / "etc" / name
        done = virtboost_as_nobody("scan", "--save", str(path))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"virtboost: {path}: cannot be written: permission denied\n"
        path.unlink(missing_ok=True) if name == "host.tar" else shutil.rmtree(path)
