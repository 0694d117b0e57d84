"""A recording replays to the identical host, and is written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from support.captures import archives, name_of
from support.sshd import in_namespace, needs_mounts, virtboost
from virtboost.errors import InputError
from virtboost.scan.host import SOURCES, parse
from virtboost.transport.local import LocalReader
from virtboost.transport.recorded import RecordedReader, Recording, save, write_whole
from virtboost.transport.redact import Redactor
from virtboost.transport.source import Capture, Command, Failure, Files, Links, Output

FORMS = ("host.tar", "host.tar.gz", "host.tgz", "host.tar.bz2", "host.tar.zst", "host")

ABOUT = Recording(host="a host", version="1", redacted=False)


@pytest.fixture(scope="module", params=[None, *archives()], ids=name_of)
def capture(request: pytest.FixtureRequest) -> Capture:
    archive: Path | None = request.param
    return (LocalReader() if archive is None else RecordedReader(archive)).read(SOURCES)


@pytest.mark.parametrize("form", FORMS)
def test_a_recording_replays_to_the_identical_host(
    capture: Capture, tmp_path: Path, form: str
) -> None:
    about = Recording(host="x", version="1", redacted=False, failures=capture.failures)
    save(capture, tmp_path / form, about)
    assert parse(RecordedReader(tmp_path / form).read(SOURCES)) == parse(capture)


def test_a_redacted_recording_replays_to_the_redacted_host(
    capture: Capture, tmp_path: Path
) -> None:
    redacted = Redactor().capture(capture)
    about = Recording(host="x", version="1", redacted=True, failures=capture.failures)
    save(redacted, tmp_path / "host.tar", about)
    replayed = RecordedReader(tmp_path / "host.tar").read(SOURCES)
    assert parse(replayed) == parse(redacted)
    assert parse(Redactor().capture(replayed)) == parse(redacted), "it is redacted once for all"


MEMINFO = Files("/proc", ("meminfo",))
TEXTS = Files("/etc", ("empty", "unicode"))
MTU = Files("/sys/class/net/*", ("mtu",))
INTERFACES = Links("/sys/class/net", ("*",))
ONCE, EACH, SILENT, MISSING = (Command(name, ("x",)) for name in ("once", "each", "none", "no"))


def every_kind() -> Capture:
    """Return a capture with a source of every kind, and a file read through a link."""
    return Capture(
        {
            MEMINFO: {"/proc": {"meminfo": "MemTotal: 4 kB"}},
            TEXTS: {"/etc": {"empty": "", "unicode": "größer ≥ \u202e x"}},
            MTU: {"/sys/class/net/eth0": {"mtu": "1500"}},
            INTERFACES: {"/sys/class/net": {"eth0": "/sys/devices/pci/net/eth0"}},
        },
        {
            ONCE: (Output(status=3, stdout="out\n\nput", stderr="err"),),
            EACH: tuple(Output(status=0, stdout=str(number)) for number in range(12)),
            SILENT: (Output(status=0, stdout=""),),
        },
        (Failure("/proc/x", "permission denied"),),
    )


def told(capture: Capture) -> tuple[object, ...]:
    return dict(capture.sources()), dict(capture.commands()), capture.failures


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_source_comes_back(tmp_path: Path, form: str) -> None:
    capture = every_kind()
    about = Recording(host="x", version="1", redacted=True, failures=capture.failures)
    save(capture, tmp_path / form, about)
    sources = (MEMINFO, TEXTS, MTU, INTERFACES, ONCE, EACH, SILENT, MISSING)
    assert told(RecordedReader(tmp_path / form).read(sources)) == told(capture)


@pytest.mark.parametrize("form", FORMS)
def test_saving_twice_gives_the_same_bytes(tmp_path: Path, form: str) -> None:
    (tmp_path / "again").mkdir()
    for folder in (tmp_path, tmp_path / "again"):
        save(every_kind(), folder / form, ABOUT)
    assert digest(tmp_path / form) == digest(tmp_path / "again" / form)


def digest(path: Path) -> dict[str, str]:
    """Return what is in a file or below a directory."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return {
        str(file.relative_to(path)): str(file.readlink())
        if file.is_symlink()
        else hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if not file.is_dir() or file.is_symlink()
    }


@pytest.mark.parametrize("form", FORMS)
def test_an_older_recording_is_replaced(tmp_path: Path, form: str) -> None:
    save(Capture({MEMINFO: {"/proc": {"meminfo": "old"}}}, {}, ()), tmp_path / form, ABOUT)
    save(every_kind(), tmp_path / form, ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == [form]
    assert RecordedReader(tmp_path / form).read([TEXTS]).text(TEXTS, "empty") == ""


@pytest.mark.parametrize("there", ["file", "folder"])
def test_what_is_no_recording_is_not_replaced(tmp_path: Path, there: str) -> None:
    path = tmp_path / "precious"
    if there == "file":
        path.write_text("data")
    else:
        (path / "data").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="precious: is there and is not a recording; choose"):
        save(every_kind(), path, ABOUT)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_that_is_missing(tmp_path: Path, form: str) -> None:
    with pytest.raises(InputError, match=r"cannot be written: no such file or directory$"):
        save(every_kind(), tmp_path / "missing" / form, ABOUT)


def test_a_tar_where_a_directory_is(tmp_path: Path) -> None:
    (tmp_path / "x.tar").mkdir()
    with pytest.raises(InputError, match=r"x\.tar: cannot be written: is a directory$"):
        save(every_kind(), tmp_path / "x.tar", ABOUT)
    assert not list((tmp_path / "x.tar").iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


@pytest.mark.parametrize("form", ["host.tar", "host"])
def test_a_disk_that_fills_up_leaves_the_old_recording(tmp_path: Path, form: str) -> None:
    """A limit on the size of files stops the write half way, as a full disk does."""
    save(every_kind(), tmp_path / form, ABOUT)
    before = digest(tmp_path / form)
    argv = virtboost("scan", "--save", str(tmp_path / form))
    done = subprocess.run(
        ("sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *argv),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"virtboost: {tmp_path / form}: cannot be written: file too large\n"
    assert digest(tmp_path / form) == before
    assert [path.name for path in tmp_path.iterdir()] == [form]


@needs_mounts[0]
@needs_mounts[1]
@pytest.mark.parametrize("form", ["host.tar.zst", "host"])
@pytest.mark.parametrize(
    ("options", "problem"),
    [("size=4k", "no space left on device"), ("ro", "read-only file system")],
)
def test_a_real_disk_that_is_full_or_read_only(
    tmp_path: Path, form: str, options: str, problem: str
) -> None:
    path = tmp_path / form
    scan = " ".join(virtboost("scan", "--save", str(path)))
    mount = f"mount -t tmpfs -o {options} none {tmp_path}"
    command = in_namespace(mount, f'sh -c "{scan}; echo $?; ls -A {tmp_path}"').replace(
        "$?", "\\$?"
    )
    done = subprocess.run(("sh", "-c", command), capture_output=True, text=True, check=True)
    assert done.stderr == f"virtboost: {path}: cannot be written: {problem}\n"
    assert done.stdout == "2\n", "nothing but the status: nothing is left on the disk"


def test_a_pipe_or_a_device_takes_what_is_written_and_stays_one(tmp_path: Path) -> None:
    """A file in the place of ``/dev/null`` would be a whole machine's."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with os.fdopen(os.open(pipe, os.O_RDWR), "rb", buffering=0) as end:
        write_whole(pipe, b"text")
        assert end.read(8) == b"text"
    assert pipe.is_fifo()


def test_many_hosts_go_into_a_directory_each_under_its_own_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save(every_kind(), tmp_path / name / "host.tar", ABOUT)
    hosts = [word for name in "ab" for word in ("-H", f"{tmp_path}/{name}/host.tar")]
    argv = virtboost("scan", *hosts, "--save", str(tmp_path / "all"))
    subprocess.run(argv, capture_output=True, check=True)
    names = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert len(names) == 2
    assert names[0].endswith("_a_host.tar.zst")
    assert names[1].endswith("_b_host.tar.zst")
