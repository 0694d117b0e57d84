"""A recording of a host: a directory or a tar of files under their own paths.

Besides what ``hwloc-gather-topology`` makes, which is read as it is, a recording of our own has::

    virtboost/recording.json                         a `Recording`
    virtboost/commands/NAME/INDEX/{status,stdout,stderr}   outputs of programs
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import posixpath
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import msgspec
import zstandard

from virtboost.errors import InputError
from virtboost.transport.source import (
    MAX_FILE_BYTES,
    Capture,
    Command,
    Failure,
    Files,
    Output,
    Source,
    clean,
)
from virtboost.transport.tree import FileTree, MemoryTree, Tree, read_entries

MAX_ARCHIVE_BYTES = 1 << 30
"""An archive that unpacks to more is refused: a recording of a large host is about 10 MB."""

MAX_MEMBERS = 500_000

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.zst")

_COMMANDS = "/virtboost/commands"


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording says of itself, in ``virtboost/recording.json``."""

    schema: str = "virtboost.recording/1"
    host: str
    """What the user called the host."""
    version: str
    """The version of virtboost that wrote it."""
    redacted: bool
    failures: tuple[Failure, ...] = ()
    """What was there on the host and could not be read."""


class RecordedReader:
    """Replays a recording."""

    def __init__(self, path: Path) -> None:
        """Replay the directory or tar at ``path``."""
        self._path = path

    @property
    def name(self) -> str:
        """The path, as the user gave it."""
        return str(self._path)

    def read(self, sources: Sequence[Source]) -> Capture:
        """Read all ``sources`` from the recording.

        Raises:
            InputError: It is not a recording, is damaged, or is too large.
        """
        tree = self._tree()
        failures = list(self._failures(tree))
        entries = read_entries(tree, sources, failures)
        outputs = {
            source: outputs
            for source in sources
            if isinstance(source, Command) and (outputs := tuple(outputs_in(tree, source)))
        }
        return Capture(entries, outputs, failures)

    def _tree(self) -> Tree:
        try:
            if self._path.is_dir():
                return FileTree(str(_root_directory(self._path)))
            return _unpack(self._path)
        except OSError as error:
            problem = error.strerror or str(error)
            raise InputError(f"{self._path}: cannot be read: {problem.lower()}") from error

    def _failures(self, tree: Tree) -> Iterator[Failure]:
        for _, content in tree.texts("/virtboost", ("recording.json",)):
            try:
                if isinstance(content, OSError):
                    raise content
                yield from msgspec.json.decode(content, type=Recording).failures
            except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
                raise InputError(f"{self._path}: virtboost/recording.json: {error}") from error


def outputs_in(tree: Tree, command: Command) -> Iterator[Output]:
    """Yield what a program printed, from the folder that a recording keeps for it."""
    directory = f"{_COMMANDS}/{command.name}"
    for index in sorted(tree.names(directory), key=lambda name: (len(name), name)):
        texts = {
            name: clean(content) if isinstance(content, bytes) else ""
            for name, content in tree.texts(f"{directory}/{index}", ("status", "stdout", "stderr"))
        }
        status = texts.get("status", "")
        yield Output(
            status=int(status) if status.isdecimal() else 1,
            stdout=texts.get("stdout", ""),
            stderr=texts.get("stderr", ""),
        )


def save(capture: Capture, path: Path, recording: Recording) -> None:
    """Write a recording, whole or not at all.

    Args:
        capture: What to write; redact it first.
        path: A name that ends in one of ``TAR_SUFFIXES``, else a directory to make.
        recording: What the recording says of itself.

    Raises:
        InputError: The path is there and is not a recording, or cannot be written.
    """
    try:
        if path.name.endswith(TAR_SUFFIXES):
            _save_tar(capture, path, recording)
        else:
            _save_directory(capture, path, recording)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise InputError(f"{path}: cannot be written: {problem}") from error


def _save_tar(capture: Capture, path: Path, recording: Recording) -> None:
    buffer = io.BytesIO()
    suffix = path.name.rpartition(".")[2]
    mode = {"gz": "gz", "tgz": "gz", "bz2": "bz2"}.get(suffix, "")
    with tarfile.open(fileobj=buffer, mode=f"w:{mode}", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        for name, text, target in _members(capture, recording):
            member = tarfile.TarInfo(name)
            if target is not None:
                member.type, member.linkname = tarfile.SYMTYPE, target
                tar.addfile(member)
            else:
                content = text.encode()
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    content = buffer.getvalue()
    if suffix == "zst":
        content = zstandard.compress(content, 10)
    write_whole(path, content)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that at any moment it is there whole, old or new.

    Raises:
        OSError: It cannot be written; the old one is untouched.
    """
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        new = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            new.chmod(0o644)
            new.replace(path)
        except OSError:
            new.unlink()
            raise


def _save_directory(capture: Capture, path: Path, recording: Recording) -> None:
    if path.exists() and not (path / "virtboost" / "recording.json").exists():
        raise InputError(f"{path}: is there and is not a recording; choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        for name, text, target in _members(capture, recording):
            file = new / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if target is not None:
                file.symlink_to(target)
            else:
                file.write_text(text)
        new.chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
        new.rename(path)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        raise


def _members(capture: Capture, recording: Recording) -> Iterator[tuple[str, str, str | None]]:
    """Yield (relative path, text, link target or None), sorted, without repetition."""
    files: dict[str, tuple[str, str | None]] = {}
    for source, entries in capture.sources():
        for directory, texts in entries.items():
            for name, text in texts.items():
                path = f"{directory}/{name}".lstrip("/")
                if isinstance(source, Files):
                    files[path] = (f"{text}\n", None)
                else:
                    files[path] = ("", posixpath.relpath(text, directory))
    for command, outputs in capture.commands():
        for index, output in enumerate(outputs):
            base = f"{_COMMANDS}/{command.name}/{index}".lstrip("/")
            files[f"{base}/status"] = (f"{output.status}\n", None)
            files[f"{base}/stdout"] = (output.stdout, None)
            files[f"{base}/stderr"] = (output.stderr, None)
    about = msgspec.json.format(msgspec.json.encode(recording)).decode()
    yield "virtboost/recording.json", about + "\n", None
    for path in sorted(files):
        text, target = files[path]
        yield path, text, target


def _root_directory(path: Path) -> Path:
    """Find the folder that holds ``sys`` and ``proc``: the path itself or one below it."""
    if _is_root(path):
        return path
    below = [folder for folder in path.iterdir() if folder.is_dir() and _is_root(folder)]
    if len(below) > 1:
        raise InputError(f"{path}: holds {len(below)} recordings; name one of them")
    if not below:
        raise InputError(f"{path}: {_NOT_ONE}")
    return below[0]


def _is_root(folder: Path) -> bool:
    return (folder / "sys" / "devices").is_dir() or (folder / "proc" / "cpuinfo").is_file()


_NOT_ONE = "not a recording: it holds no sys/devices and no proc/cpuinfo"


def _unpack(path: Path) -> MemoryTree:
    try:
        with path.open("rb") as file, _decompressed(file) as stream:
            with tarfile.open(fileobj=_Bounded(stream, path), mode="r|") as tar:
                return _tree_of(path, tar)
    except (tarfile.TarError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"{path}: not a whole tar: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise InputError(f"{path}: not a whole tar: {error}") from error


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    """Open by what the file begins with, whatever it is called.

    ``tarfile`` can do this for all but zstd; its own stream is slow on small members.
    """
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(file))
    if magic.startswith(b"BZh"):
        return cast("IO[bytes]", bz2.open(file))
    if magic == b"\xfd7zXZ\0":
        return cast("IO[bytes]", lzma.open(file))
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file)
    return file


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than ``MAX_ARCHIVE_BYTES``."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path
        self._given = 0

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self._given += len(content)
        if self._given > MAX_ARCHIVE_BYTES:
            raise _too_large(self._path)
        return content


def _too_large(path: Path) -> InputError:
    return InputError(
        f"{path}: larger than {MAX_ARCHIVE_BYTES >> 30} GiB unpacked; not a recording"
    )


def _tree_of(path: Path, tar: tarfile.TarFile) -> MemoryTree:
    contents: dict[str, bytes | OSError] = {}
    links: dict[str, str] = {}
    total = 0
    for count, member in enumerate(tar):
        name = _member_path(path, member.name)
        total += member.size if member.isfile() else 0
        if count > MAX_MEMBERS or (total > MAX_ARCHIVE_BYTES and member.size <= MAX_FILE_BYTES):
            raise _too_large(path)
        if member.issym():
            links[name] = member.linkname
        elif member.islnk():
            contents[name] = contents.get(_member_path(path, member.linkname), b"")
        elif member.isfile():
            contents[name] = _content(tar, member)
    prefix = _prefix(path, contents)
    tree = MemoryTree()
    for name, content in contents.items():
        if name.startswith(f"{prefix}/"):
            tree.add(name.removeprefix(prefix), content)
    for name, target in links.items():
        if name.startswith(f"{prefix}/"):
            tree.link(name.removeprefix(prefix), target)
    return tree


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | OSError:
    if member.size > MAX_FILE_BYTES:
        return OSError(None, f"larger than {MAX_FILE_BYTES >> 20} MiB")
    file = tar.extractfile(member)
    return b"" if file is None else file.read()


def _member_path(path: Path, name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InputError(f"{path}: member {name!r} leads out of the archive; refused")
    return "/" + "/".join(parts)


def _prefix(path: Path, contents: dict[str, bytes | OSError]) -> str:
    for mark in ("/sys/devices/", "/proc/cpuinfo"):
        prefixes = {name[: name.index(mark)] for name in contents if mark in name}
        if prefixes:
            return min(prefixes, key=len)
    raise InputError(f"{path}: {_NOT_ONE}")
