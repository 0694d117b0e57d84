"""A recording of a host: a directory or a tar of files under their own paths.

Besides what ``hwloc-gather-topology`` makes, which is read as it is, a recording of our own has::

    virtboost/recording.json                         a `Recording`
    virtboost/commands/NAME/INDEX/{status,stdout,stderr}   outputs of programs
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import posixpath
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal, TypeVar, cast

import msgspec
import zstandard

from virtboost.errors import InputError
from virtboost.model.document import from_json
from virtboost.transport.source import (
    MAX_TEXT_BYTES,
    MAX_TOTAL_BYTES,
    TOO_LARGE,
    Capture,
    Command,
    Failure,
    Files,
    Links,
    Output,
    Source,
    clean,
    output_of,
)
from virtboost.transport.tree import FolderTree, MemoryTree, Tree, read_entries

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.zst")

_Root = TypeVar("_Root", str, Path)

_COMMANDS = "/virtboost/commands"

_MAX_PATH = 4096
"""Linux's own limit on the length of a path; a longer one in an archive is an attack."""

_DAMAGE = (
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    EOFError,
    ValueError,
    RecursionError,
)
"""What the readers of archives raise for a damaged one: headers may nest without end."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording says of itself, in ``virtboost/recording.json``."""

    schema: Literal["virtboost.recording/1"] = "virtboost.recording/1"
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
        return os.fsencode(self._path).decode("utf-8", "replace")

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
                return FolderTree(str(_root_directory(self._path)))
            if not self._path.is_file():
                raise InputError(f"{self._path}: neither a directory nor a file")
            return _tree_of(self._path, _unpacked(self._path))
        except _DAMAGE as error:
            raise InputError(f"{self._path}: not a whole tar: {error}") from error
        except OSError as error:
            problem = error.strerror or f"not a whole tar: {error}"
            raise InputError(f"{self._path}: cannot be read: {problem.lower()}") from error

    def _failures(self, tree: Tree) -> Iterator[Failure]:
        source = f"{self._path}: virtboost/recording.json"
        for _, content in tree.texts("/virtboost", ("recording.json",)):
            if isinstance(content, OSError):
                raise InputError(f"{source}: {content.strerror or content}")
            yield from from_json(content, Recording, source).failures


def outputs_in(tree: Tree, command: Command) -> Iterator[Output]:
    """Yield what a program printed, from the folder that a recording keeps for it."""
    directory = f"{_COMMANDS}/{command.name}"
    for index in sorted(tree.names(directory), key=lambda name: (len(name), name)):
        texts = {
            name: content if isinstance(content, bytes) else b""
            for name, content in tree.texts(f"{directory}/{index}", ("status", "stdout", "stderr"))
        }
        status = clean(texts.get("status", b""))
        yield output_of(
            int(status) if status.isdecimal() and len(status) < 10 else 1,
            texts.get("stdout", b""),
            texts.get("stderr", b""),
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
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, text, target in _members(capture, recording):
            member = tarfile.TarInfo(name)
            if target is not None:
                member.type, member.linkname = tarfile.SYMTYPE, target
            content = text.encode()
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    write_whole(path, _compressed(buffer.getvalue(), path.suffix))


def _compressed(content: bytes, suffix: str) -> bytes:
    """Compress so that equal contents give equal bytes: no time of day in the header."""
    if suffix in (".gz", ".tgz"):
        return gzip.compress(content, mtime=0)
    if suffix == ".bz2":
        return bz2.compress(content)
    return zstandard.compress(content, 10) if suffix == ".zst" else content


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that at any moment it is there whole, old or new.

    A device or a pipe takes the content itself: a file in its place would be its end.

    Raises:
        OSError: It cannot be written; the old one is untouched.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
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
        finally:
            new.unlink(missing_ok=True)


def _save_directory(capture: Capture, path: Path, recording: Recording) -> None:
    if path.exists() and not (path / "virtboost" / "recording.json").exists():
        raise InputError(f"{path}: is there and is not a recording; choose another name")
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True
    ) as folder:
        new, old = Path(folder, "new"), Path(folder, "old")
        for name, text, target in _members(capture, recording):
            file = new / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if target is not None:
                file.symlink_to(target)
            else:
                file.write_text(text)
        if path.exists():
            path.rename(old)
        new.rename(path)


def _members(capture: Capture, recording: Recording) -> Iterator[tuple[str, str, str | None]]:
    """Yield (relative path, text, link target or None), sorted, without repetition."""
    files: dict[str, tuple[str, str | None]] = {}
    links = _links(capture)
    for source, entries in capture.sources():
        for directory, texts in entries.items():
            real = _real_directory(directory, links)
            for name, text in texts.items():
                path = f"{real}/{name}".lstrip("/")
                if isinstance(source, Files):
                    files[path] = (f"{text}\n", None)
                else:
                    files[path] = ("", posixpath.relpath(text, real))
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


def _links(capture: Capture) -> dict[str, str]:
    """Return the real path of every link that was read, by the link's own path."""
    return {
        f"{directory}/{name}": target
        for source, entries in capture.sources()
        if isinstance(source, Links)
        for directory, targets in entries.items()
        for name, target in targets.items()
    }


def _real_directory(directory: str, links: Mapping[str, str]) -> str:
    """Return where a directory is: a file that was read through a link is kept behind that link."""
    end = directory.find("/", 1)
    while end >= 0:
        target = links.get(directory[:end])
        if target is not None:
            return target + directory[end:]
        end = directory.find("/", end + 1)
    return links.get(directory, directory)


def _root_directory(path: Path) -> Path:
    """Find the folder that holds ``sys`` and ``proc``: the path itself or one below it."""
    if _is_root(path):
        return path
    below = [folder for folder in path.iterdir() if _is_root(folder) and not folder.is_symlink()]
    return _only(path, below)


def _is_root(folder: Path) -> bool:
    return (folder / "sys" / "devices").is_dir() or (folder / "proc" / "cpuinfo").is_file()


def _only(path: Path, roots: Sequence[_Root]) -> _Root:
    if not roots:
        raise InputError(f"{path}: not a recording: it holds no sys/devices and no proc/cpuinfo")
    if len(roots) > 1:
        which = "name" if path.is_dir() else "unpack it and name"
        raise InputError(f"{path}: holds {len(roots)} recordings; {which} one of them")
    return roots[0]


def _unpacked(path: Path) -> bytes:
    with path.open("rb") as file, _decompressed(file) as stream:
        content = stream.read(MAX_TOTAL_BYTES + 1)
    if len(content) > MAX_TOTAL_BYTES:
        size = f"larger than {MAX_TOTAL_BYTES >> 20} MiB unpacked"
        raise InputError(f"{path}: {size}; not a recording")
    return content


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    """Open by what the file begins with, whatever it is called."""
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(file))
    if magic.startswith(b"BZh"):
        return cast("IO[bytes]", bz2.open(file))
    if magic == b"\xfd7zXZ\0":
        return cast("IO[bytes]", lzma.open(file))
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        return decompressor.stream_reader(file, read_across_frames=True)
    return file


def _tree_of(path: Path, archive: bytes) -> MemoryTree:
    members: dict[str, bytes | OSError | str] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # half a million are too many
            content = _content(path, tar, member, members)
            if content is not None:
                members[_member_path(path, member.name)] = content
        if archive[tar.offset : tar.offset + tarfile.BLOCKSIZE] != bytes(tarfile.BLOCKSIZE):
            raise InputError(f"{path}: not a whole tar: it is cut off or damaged")
    prefix = _prefix(path, members)
    tree = MemoryTree()
    for name, content in members.items():
        if name.startswith(f"{prefix}/"):
            tree.put(name.removeprefix(prefix), content)
    return tree


def _content(
    path: Path,
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    members: Mapping[str, bytes | OSError | str],
) -> bytes | OSError | str | None:
    """Return a file's content, what went wrong, a link's target as text, or None for the rest."""
    if member.issym():
        return member.linkname[:_MAX_PATH]
    if member.islnk():
        missing = OSError(errno.ENOENT, "a hard link to nothing")
        return members.get(_member_path(path, member.linkname), missing)
    if not member.isfile():
        return None
    if member.size > MAX_TEXT_BYTES:
        return OSError(errno.EFBIG, TOO_LARGE)
    file = tar.extractfile(member)
    return b"" if file is None else file.read()


def _member_path(path: Path, name: str) -> str:
    parts = [part for part in name[: _MAX_PATH + 1].split("/") if part not in ("", ".")]
    if ".." in parts or len(name) > _MAX_PATH:
        raise InputError(f"{path}: member {name[:80]!r} leads out of the archive; refused")
    return "/" + "/".join(parts)


def _prefix(path: Path, names: Iterable[str]) -> str:
    """Find what comes before ``/sys`` and ``/proc``: an archive may hold them in a folder."""
    for mark in ("/sys/devices/", "/proc/cpuinfo"):
        found = sorted({name[: name.index(mark)] for name in names if mark in name}, key=len)
        outer = [p for p in found if p == found[0] or not p.startswith(f"{found[0]}/")]
        if found:
            return _only(path, outer)
    return _only(path, ())
