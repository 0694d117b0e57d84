"""A recording may be anything: each bad one is a clear line or a recorded gap, and soon."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import re
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from support.sshd import ROOT
from virtboost.errors import InputError
from virtboost.transport.recorded import RecordedReader
from virtboost.transport.source import Capture, Command, Failure, Files, Links

ONLINE = Files("/sys/devices/system/cpu", ("online",))
ANY = Files("/etc", ("*",))
LINKS = Links("/etc", ("*",))


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


HOST = member("sys/devices/system/cpu/online", b"0-3\n")


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


GOOD = tar(HOST, *(member(f"etc/{number}", os.urandom(900)) for number in range(200)))


def refused(path: Path) -> str:
    """Return the line with which a recording is refused, without its path."""
    with pytest.raises(InputError) as caught:
        RecordedReader(path).read((ONLINE, ANY, LINKS))
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


COMMAND = Command("name", ("x",))

SMALL = tar(
    HOST,
    member("etc/long" + "x" * 150, b"text", type=tarfile.REGTYPE),
    member("etc/link", type=tarfile.SYMTYPE, linkname="y" * 200),
    member("etc/hard", type=tarfile.LNKTYPE, linkname="sys/devices/system/cpu/online"),
    member("virtboost/commands/name/0/status", b"3"),
    member("virtboost/commands/name/0/stdout", b"text"),
    member("virtboost/recording.json", b'{"host": "x", "version": "1", "redacted": true}'),
)
"""Headers of every kind, also extended ones for long names."""

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "tar": lambda content: content,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_whole(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "any-name"
    path.write_bytes(COMPRESSIONS[kind](GOOD))
    assert RecordedReader(path).read([ONLINE]).text(ONLINE, "online") == "0-3"


@pytest.mark.parametrize("kind", COMPRESSIONS)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_cut_off(kind: str, part: float, tmp_path: Path) -> None:
    content = COMPRESSIONS[kind](GOOD)
    path = tmp_path / "cut"
    path.write_bytes(content[: int(len(content) * part)])
    assert re.match("not a whole tar: |cannot be read: not a whole tar: ", refused(path))


def test_cut_off_between_two_members(tmp_path: Path) -> None:
    path = tmp_path / "cut.tar"
    path.write_bytes(GOOD[: GOOD.index(b"etc/100")])
    assert refused(path) == "not a whole tar: it is cut off or damaged"


def test_damaged_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "damaged.tar"
    at = GOOD.index(b"etc/100")
    path.write_bytes(GOOD[:at] + b"X" * 512 + GOOD[at + 512 :])
    assert refused(path) == "not a whole tar: it is cut off or damaged"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 2048,
        b"hello\n",
        random.Random(5000).randbytes(5000),
        b"\x7fELF" + bytes(3000),
        b"\x1f\x8b\x08\x00rubbish",
        b"BZh9rubbish",
        b"\xfd7zXZ\0rubbish",
        b"\x28\xb5\x2f\xfdrubbish",
        b"PK\x03\x04rubbish",
        b"<topology version='2.0'/>",
    ],
    ids=lambda content: repr(content[:8]),
)
def test_rubbish(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rubbish.tar"
    path.write_bytes(content)
    assert re.match("(cannot be read: )?not a (whole tar|recording): ", refused(path))


NOT_ONE = "not a recording: it holds no sys/devices and no proc/cpuinfo"


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar"
    path.write_bytes(tar(member("home/me/notes", b"x"), member("proc/version", b"x")))
    assert refused(path) == NOT_ONE


def test_a_directory_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("x")
    (tmp_path / "proc").mkdir()
    assert refused(tmp_path) == NOT_ONE


def test_two_recordings_in_one(tmp_path: Path) -> None:
    path = tmp_path / "two.tar"
    path.write_bytes(tar(member("a/sys/devices/x"), member("b/sys/devices/x")))
    assert refused(path) == "holds 2 recordings; unpack it and name one of them"
    for name in "ab":
        (tmp_path / "two" / name / "sys" / "devices").mkdir(parents=True)
    assert refused(tmp_path / "two") == "holds 2 recordings; name one of them"


def test_a_recording_of_a_later_version(tmp_path: Path) -> None:
    about = member("virtboost/recording.json", b'{"schema": "virtboost.recording/2"}')
    path = tmp_path / "later.tar"
    path.write_bytes(tar(HOST, about))
    assert refused(path).startswith("virtboost/recording.json: Invalid enum value")


@pytest.mark.parametrize(
    "about", [b"", b"{", b"\xff", b'{"host": "\xff"}', b"[" * 100_000, b'{"x":' * 100_000, b"null"]
)
def test_a_recording_that_says_rubbish_of_itself(about: bytes, tmp_path: Path) -> None:
    path = tmp_path / "host.tar"
    path.write_bytes(tar(HOST, member("virtboost/recording.json", about)))
    assert refused(path).startswith("virtboost/recording.json: ")


def test_a_bomb(tmp_path: Path) -> None:
    """An archive of 260 kB that unpacks to 260 MiB of zeros."""
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(tar(HOST)[:1024])
        for _ in range(270):
            file.write(bytes(1 << 20))
    assert refused(path) == "larger than 256 MiB unpacked; not a recording"


def test_a_million_members(tmp_path: Path) -> None:
    path = tmp_path / "many.tar.gz"
    header = tar(member("etc/x"))[:512]
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header * 1_000_000)
    assert refused(path) == "larger than 256 MiB unpacked; not a recording"


def test_headers_that_nest_without_end(tmp_path: Path) -> None:
    """Each extended header of tar may be followed by another; Python's reader calls itself."""
    path = tmp_path / "nested.tar"
    extended = tar(member("x" * 200), form=tarfile.GNU_FORMAT)[:1024]
    path.write_bytes(tar(HOST)[:1024] + extended * 20_000)
    assert refused(path).startswith("not a whole tar: ")


def test_too_many_directories(tmp_path: Path) -> None:
    path = tmp_path / "deep.tar"
    deep = "/".join("a" * 1500)
    path.write_bytes(tar(HOST, *(member(f"{number}/{deep}") for number in range(80))))
    assert refused(path) == "not a whole tar: more than 100000 directories"


@pytest.mark.parametrize(
    "name", ["../etc/x", "sys/../../x", "/../x", "x" * 5000, "a/../../../etc/passwd"]
)
def test_a_member_that_leads_out(name: str, tmp_path: Path) -> None:
    path = tmp_path / "traversal.tar"
    path.write_bytes(tar(HOST, member(name, b"x")))
    assert refused(path).endswith("leads out of the archive; refused")


def test_an_absolute_member_is_within(tmp_path: Path) -> None:
    path = tmp_path / "absolute.tar"
    path.write_bytes(tar(HOST, member("/etc/x", b"text")))
    assert RecordedReader(path).read([ANY]).entries(ANY) == {"/etc": {"x": "text"}}


def both(tmp_path: Path, links: dict[str, str], files: dict[str, str]) -> Iterable[RecordedReader]:
    """Yield the same recording as a tar and as a directory."""
    path, folder = tmp_path / "host.tar", tmp_path / "host"
    path.write_bytes(
        tar(
            HOST,
            *(member(name, text.encode()) for name, text in files.items()),
            *(
                member(name, type=tarfile.SYMTYPE, linkname=target)
                for name, target in links.items()
            ),
        )
    )
    for name, text in {"sys/devices/system/cpu/online": "0-3\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name, target in links.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)
    yield RecordedReader(path)
    yield RecordedReader(folder)


def test_links_stay_within_and_loops_end(tmp_path: Path) -> None:
    """What a link means is what it would mean to the host: its root is the recording's."""
    links = {
        "etc/absolute": "/etc/passwd",
        "etc/above": "../../../../../../../etc/passwd",
        "etc/loop": "loop",
        "etc/ping": "pong",
        "etc/pong": "ping",
        "etc/dangling": "nowhere",
        "etc/inside": "../opt/text",
        "etc/folder": "../opt",
        "etc/up": "..",
        "etc/long": "a/" * 1900,
        "etc/bomb0": "bomb1/bomb1",
        "etc/bomb1": "bomb2/bomb2",
        "etc/bomb2": "bomb0/bomb0",
    }
    deep = Files("/etc/folder/more", ("text",))
    through = Files("/etc/loop/x", ("*",))
    up = Files("/etc/up/up/../opt/", ("text",))
    sources = (ANY, LINKS, deep, through, up)
    for reader in both(tmp_path, links, {"opt/text": "inside", "opt/more/text": "deep"}):
        capture = reader.read(sources)
        assert capture.entries(ANY) == {"/etc": {"inside": "inside"}}
        assert capture.entries(deep) == {"/etc/folder/more": {"text": "deep"}}
        assert capture.entries(through) == {}
        assert capture.entries(LINKS)["/etc"]["folder"] == "/opt"
        assert capture.entries(LINKS)["/etc"]["up"] == "/"
        assert "loop" not in capture.entries(LINKS)["/etc"]


def test_links_do_not_multiply_directories_without_end(tmp_path: Path) -> None:
    """Eight links to the folder they are in: eight times as many with each ``*``."""
    links = {f"etc/x/{number}": "." for number in range(8)}
    wide = Files("/etc/x" + "/*" * 12, ("text",))
    for reader in both(tmp_path, links, {"etc/x/text": "x"}):
        start = time.monotonic()
        capture = reader.read([wide])
        assert capture.entries(wide) == {}
        assert capture.failures == (Failure("/etc/x" + "/*" * 12, "more than 100000 directories"),)
        assert time.monotonic() - start < 20


def test_a_text_read_through_many_links_counts_each_time(tmp_path: Path) -> None:
    """A megabyte under 400 names is 400 MB."""
    links = {f"etc/{number}": "../opt/text" for number in range(400)}
    for reader in both(tmp_path, links, {"opt/text": "x" * (1 << 20)}):
        capture = reader.read([ANY])
        assert len(capture.entries(ANY)["/etc"]) == 256
        assert capture.failures == (Failure("/etc", "not read on: more than 256 MiB in all"),)


def test_a_link_in_place_of_the_recording(tmp_path: Path) -> None:
    """A folder with a link to ``/`` is no recording of this machine."""
    (tmp_path / "host").symlink_to("/")
    assert refused(tmp_path) == NOT_ONE


def test_hard_links(tmp_path: Path) -> None:
    path = tmp_path / "hard.tar"
    path.write_bytes(
        tar(
            HOST,
            member("etc/first", b"text"),
            member("etc/second", type=tarfile.LNKTYPE, linkname="etc/first"),
            member("etc/third", type=tarfile.LNKTYPE, linkname="etc/missing"),
        )
    )
    capture = RecordedReader(path).read([ANY])
    assert capture.entries(ANY) == {"/etc": {"first": "text", "second": "text"}}
    assert capture.failures == (Failure("/etc/third", "a hard link to nothing"),)


def test_a_sparse_file_of_10_gigabytes_in_a_tar(tmp_path: Path) -> None:
    """GNU tar stores its holes as holes: the archive is 10 kB."""
    folder = tmp_path / "host"
    (folder / "sys" / "devices").mkdir(parents=True)
    (folder / "sys" / "devices" / "x").touch()
    (folder / "etc").mkdir()
    (folder / "etc" / "small").write_text("x")
    with (folder / "etc" / "sparse").open("wb") as file:
        file.truncate(10 << 30)
    path = tmp_path / "host.tar"
    subprocess.run(("tar", "-C", str(folder), "-cSf", str(path), "sys", "etc"), check=True)
    for reader in (RecordedReader(path), RecordedReader(folder)):
        start = time.monotonic()
        capture = reader.read([ANY])
        assert capture.entries(ANY) == {"/etc": {"small": "x"}}
        assert capture.failures == (Failure("/etc/sparse", "larger than 16 MiB"),)
        assert time.monotonic() - start < 5
    path.write_bytes(b"")
    os.truncate(path, 10 << 30)
    assert refused(path) == "larger than 256 MiB unpacked; not a recording"


def test_nothing_but_files_is_opened(tmp_path: Path) -> None:
    """To open a named pipe waits, and to open a device may do anything."""
    folder = tmp_path / "host"
    (folder / "sys" / "devices").mkdir(parents=True)
    (folder / "etc").mkdir()
    os.mkfifo(folder / "etc" / "pipe")
    (folder / "etc" / "to-pipe").symlink_to("pipe")
    (folder / "etc" / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(folder / "etc" / "socket"))
        if ROOT:
            os.mknod(folder / "etc" / "device", 0o20666, os.makedev(1, 5))
        capture = RecordedReader(folder).read([ANY, Files("/etc/pipe", ("x",))])
    assert capture.entries(ANY) == {}
    assert capture.failures == ()
    assert refused(folder / "etc" / "pipe") == "neither a directory nor a file"
    assert refused(Path("/dev/zero")) == "neither a directory nor a file"


def test_a_name_that_does_not_print_is_nobodys(tmp_path: Path) -> None:
    folder = tmp_path / "host"
    (folder / "sys" / "devices").mkdir(parents=True)
    (folder / "etc").mkdir()
    for name in (b"\xff\xfe", b"\x1b[2J", b"new\nline", "right\u202eleft".encode(), b"fine"):
        (folder / "etc" / os.fsdecode(name)).write_text("x")
    (folder / "etc" / "link").symlink_to(os.fsdecode(b"/\xff"))
    capture = RecordedReader(folder).read([ANY, LINKS])
    assert capture.entries(ANY) == {"/etc": {"fine": "x"}}
    assert capture.entries(LINKS) == {}


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_archive_is_read_or_refused(data: st.DataObject) -> None:
    """Bytes of a small archive change, go, or come twice."""
    content = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        change = data.draw(st.sampled_from(("set", "cut", "double")))
        if change == "set":
            content[at] = data.draw(st.integers(0, 255))
        else:
            piece = content[at : at + data.draw(st.integers(1, 600))]
            content[at : at + len(piece)] = b"" if change == "cut" else piece * 2
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        try:
            capture = RecordedReader(Path(file.name)).read((ONLINE, ANY, LINKS, COMMAND))
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert isinstance(capture, Capture)
