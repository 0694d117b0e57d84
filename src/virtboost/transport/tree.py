"""Evaluate sources over a tree of files: a live ``/``, a directory, or a tar held in memory."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice
from typing import Protocol

from virtboost.transport.source import (
    MAX_TEXT_BYTES,
    MAX_TOTAL_BYTES,
    TOO_MUCH,
    Entries,
    Failure,
    Files,
    Links,
    Source,
    text_of,
)

_NO_VALUE = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EINVAL,
    errno.EOPNOTSUPP,
    errno.ENODATA,
}
"""What sysfs answers for an attribute that this device does not have: absent, not a failure."""

_MAX_LINKS = 40
"""Symbolic links followed for one path, as Linux does (``MAXSYMLINKS``)."""

_MAX_DIRECTORIES = 100_000
"""Directories that one pattern may match; links that lead back up multiply them without end."""


_PIECE_BYTES = 1 << 16

_Open = Callable[[str, int], int | None]
"""Opens a name in the directory of a descriptor; None for what is not to be opened."""


class Tree(Protocol):
    """A tree of files; paths begin with ``/``."""

    def names(self, directory: str) -> Sequence[str]:
        """Return the names in a directory; none where it is missing.

        Raises:
            OSError: It is there and cannot be read.
        """
        ...

    def texts(self, directory: str, names: Iterable[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content, or what went wrong, of each of ``names`` that is a file.

        Where the directory itself cannot be entered this is told once, under the empty name.
        """
        ...

    def target(self, path: str) -> str | None:
        """Return the real path of a symbolic link to a directory, or None where there is none."""
        ...


class LiveTree:
    """The files of this machine."""

    def names(self, directory: str) -> Sequence[str]:
        """Return the names in a directory; none where it is missing."""
        return _listed(directory)

    def texts(self, directory: str, names: Iterable[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content, or what went wrong, of each of ``names`` that is a file."""
        at_once = not directory.startswith("/proc")
        yield from _texts(directory, names, _opened, at_once=at_once)

    def target(self, path: str) -> str | None:
        """Return the real path of a symbolic link to a directory, or None where there is none.

        The kernel is asked: ``os.path.realpath`` takes four times longer.
        """
        if not os.path.islink(path):
            return None
        try:
            folder = os.open(path, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return None
        try:
            return os.readlink(f"/proc/self/fd/{folder}")
        finally:
            os.close(folder)


class FolderTree:
    """A directory with a host's files below it, which are hostile.

    No symbolic link leads out: it is followed as if the directory were ``/``, like ``chroot``.
    Nothing but regular files is opened: a device or a named pipe may do anything.
    """

    def __init__(self, root: str) -> None:
        """Read below ``root``."""
        self._root = os.path.realpath(root)
        self._links: dict[str, str | None] = {}

    def names(self, directory: str) -> Sequence[str]:
        """Return the names in a directory; none where it is missing."""
        real = _resolved(directory, self._link)
        return () if real is None else _listed(f"{self._root}{real}")

    def texts(self, directory: str, names: Iterable[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content, or what went wrong, of each of ``names`` that is a file."""
        real = _resolved(directory, self._link)
        if real is not None:
            opened = partial(self._open, real)
            yield from _texts(f"{self._root}{real}", names, opened, at_once=True)

    def target(self, path: str) -> str | None:
        """Return the real path of a symbolic link, or None where there is none."""
        return _target(path, self._link)

    def _open(self, directory: str, name: str, folder: int) -> int | None:
        """Open a regular file, or the one that a link leads to; None for anything else."""
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISREG(mode):
            return _opened(name, folder, os.O_NOFOLLOW)
        real = _resolved(f"{directory}/{name}", self._link) if stat.S_ISLNK(mode) else None
        if real is None or not stat.S_ISREG(os.lstat(f"{self._root}{real}").st_mode):
            return None
        return _opened(f"{self._root}{real}", folder, os.O_NOFOLLOW)

    def _link(self, path: str) -> str | None:
        if path not in self._links:
            try:
                self._links[path] = os.readlink(f"{self._root}{path}")
            except OSError:
                self._links[path] = None
        return self._links[path]


class MemoryTree:
    """Files and symbolic links held in memory, as a tar brings them."""

    def __init__(self) -> None:
        """Start empty."""
        self._directories: dict[str, dict[str, bytes | OSError | None]] = {"": {}}
        self._links: dict[str, str] = {}

    def put(self, path: str, content: bytes | OSError | str) -> None:
        """Put a file's content, or what is wrong with it, or a link's target, at ``path``.

        Args:
            path: Absolute and normalised.
            content: A text is the target of a symbolic link, as it is written.

        Raises:
            ValueError: There are too many directories.
        """
        if isinstance(content, str):
            self._links[path] = content
        self._add(path, None if isinstance(content, str) else content)

    def names(self, directory: str) -> Sequence[str]:
        """Return the names in a directory; none where it is missing."""
        real = _resolved(directory, self._links.get)
        return () if real is None else tuple(self._directories.get(real, ()))

    def texts(self, directory: str, names: Iterable[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content, or what went wrong, of each of ``names`` that is a file."""
        real = _resolved(directory, self._links.get)
        for name in names if real is not None else ():
            content = self._content(f"{real}/{name}")
            if content is not None:
                yield name, content

    def target(self, path: str) -> str | None:
        """Return the real path of a symbolic link, or None where there is none."""
        return _target(path, self._links.get)

    def _content(self, path: str) -> bytes | OSError | None:
        real = _resolved(path, self._links.get) if path in self._links else path
        parent, _, name = (real or "").rpartition("/")
        return self._directories.get(parent, {}).get(name)

    def _add(self, path: str, content: bytes | OSError | None) -> None:
        """Add an entry, and the directories above it where they are missing."""
        parent, _, name = path.rpartition("/")
        while parent not in self._directories:
            self._directories[parent] = {name: content}
            content = None
            parent, _, name = parent.rpartition("/")
        self._directories[parent][name] = content
        if len(self._directories) > _MAX_DIRECTORIES:
            raise ValueError(f"more than {_MAX_DIRECTORIES} directories")


def read_entries(
    tree: Tree, sources: Iterable[Source], failures: list[Failure]
) -> dict[Files | Links, Entries]:
    """Evaluate every file and link source over ``tree``, adding to ``failures``."""
    entries: dict[Files | Links, Entries] = {}
    left_bytes = MAX_TOTAL_BYTES
    for source in sources:
        if isinstance(source, Files):
            found = entries[source] = {}
            for directory, name, content in _contents(tree, source, failures):
                left_bytes -= 0 if isinstance(content, OSError) else len(content)
                if left_bytes < 0:
                    failures.append(Failure(directory, TOO_MUCH))
                    return entries
                _take(found, directory, name, content, failures)
        elif isinstance(source, Links):
            entries[source] = _links(tree, source, failures)
    return entries


def _contents(
    tree: Tree, source: Files, failures: list[Failure]
) -> Iterator[tuple[str, str, bytes | OSError]]:
    for directory in expand(tree, source.directory, failures):
        names = _chosen(tree, directory, source.names, failures)
        for name, content in tree.texts(directory, names):
            yield directory, name, content


def _take(
    found: Entries,
    directory: str,
    name: str,
    content: bytes | OSError,
    failures: list[Failure],
) -> None:
    path = f"{directory}/{name}" if name else directory
    if isinstance(content, OSError):
        failures.append(Failure(path, _reason(content)))
        return
    text = text_of(path, content)
    if isinstance(text, Failure):
        failures.append(text)
    elif text is not None:
        found.setdefault(directory, {})[name] = text


def _links(tree: Tree, source: Links, failures: list[Failure]) -> Entries:
    entries: Entries = {}
    for directory in expand(tree, source.directory, failures):
        targets = {
            name: target
            for name in _chosen(tree, directory, source.names, failures)
            if (target := tree.target(f"{directory}/{name}")) is not None and target.isprintable()
        }
        if targets:
            entries[directory] = targets
    return entries


def expand(tree: Tree, pattern: str, failures: list[Failure]) -> list[str]:
    """Return the directories that match a glob, sorted as numbers where they are numbered."""
    parents = [""]
    for part in pattern.strip("/").split("/"):
        found = (
            f"{parent}/{name}"
            for parent in parents
            for name in _chosen(tree, parent, (part,), failures)
        )
        parents = list(islice(found, _MAX_DIRECTORIES + 1))
        if len(parents) > _MAX_DIRECTORIES:
            failures.append(Failure(pattern, f"more than {_MAX_DIRECTORIES} directories"))
            return []
    return parents


def _chosen(
    tree: Tree, directory: str, patterns: Sequence[str], failures: list[Failure]
) -> Sequence[str]:
    """Return the names in a directory that match; a name without a wildcard is not looked for.

    A name that does not print, or is not UTF-8, is nobody's: no kernel makes one.
    """
    if not any("*" in pattern for pattern in patterns):
        return patterns
    try:
        present = tree.names(directory)
    except OSError as error:
        failures.append(Failure(directory, _reason(error)))
        return ()
    names = (
        name
        for name in present
        if any(fnmatchcase(name, pattern) for pattern in patterns) and name.isprintable()
    )
    return sorted(names, key=_natural)


def _natural(name: str) -> tuple[str, int, str]:
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    return (stem, int(digits or -1), name) if len(digits) < 18 else (name, -1, name)


def in_natural_order(source: Files | Links, entries: Entries) -> Entries:
    """Return the same entries in the order in which `read_entries` finds them."""
    globs = any("*" in name for name in source.names)
    ordered = sorted(entries, key=lambda directory: [_natural(p) for p in directory.split("/")])
    return {
        directory: {
            name: entries[directory][name]
            for name in (sorted(entries[directory], key=_natural) if globs else entries[directory])
        }
        for directory in ordered
    }


def _resolved(path: str, link_of: Callable[[str], str | None]) -> str | None:
    """Follow every link of an absolute path inside its tree.

    Args:
        path: What to follow; it may be missing from some point on.
        link_of: Tells what a real path links to, None where it is no link.

    Returns:
        The real path, ``""`` for the root, or None for a loop of links.
    """
    left = path.split("/")[::-1]
    real = ""
    followed = 0
    while left:
        part = left.pop()
        if part == "..":
            real = real.rpartition("/")[0]
        elif part not in ("", "."):
            link = link_of(f"{real}/{part}")
            if link is None:
                real = f"{real}/{part}"
                continue
            followed += 1
            if followed > _MAX_LINKS:
                return None
            real = "" if link.startswith("/") else real
            left.extend(link.split("/")[::-1])
    return real


def _target(path: str, link_of: Callable[[str], str | None]) -> str | None:
    parent, _, name = path.rpartition("/")
    real = _resolved(parent, link_of)
    if real is None or link_of(f"{real}/{name}") is None:
        return None
    target = _resolved(path, link_of)
    return None if target is None else target or "/"


def _listed(directory: str) -> Sequence[str]:
    try:
        return os.listdir(directory or "/")
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _texts(
    directory: str, names: Iterable[str], open_in: _Open, *, at_once: bool
) -> Iterator[tuple[str, bytes | OSError]]:
    """Yield the content of each of ``names``.

    ``at_once`` tells that a short piece is the last one; so it is everywhere but in ``/proc``.
    """
    try:
        folder = os.open(directory or "/", os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        if error.errno not in _NO_VALUE:
            yield "", error
        return
    try:
        for name in names:
            try:
                content = _content(open_in(name, folder), at_once=at_once)
            except OSError as error:
                if error.errno in _NO_VALUE:
                    continue
                if error.errno == errno.EACCES and not os.access(directory, os.X_OK):
                    yield "", error
                    return
                content = error
            if content is not None:
                yield name, content
    finally:
        os.close(folder)


def _opened(name: str, folder: int, flags: int = 0) -> int:
    # O_NONBLOCK: opening a named pipe does not wait for its other end.
    return os.open(name, os.O_RDONLY | os.O_NONBLOCK | flags, dir_fd=folder)


def _content(file: int | None, *, at_once: bool) -> bytes | OSError | None:
    """Read a whole file, or enough of it to see that it is too large; close it."""
    if file is None:
        return None
    pieces: list[bytes] = []
    left_bytes = MAX_TEXT_BYTES + 1
    try:
        while left_bytes > 0 and (piece := os.read(file, _PIECE_BYTES)):
            pieces.append(piece)
            left_bytes -= len(piece)
            if at_once and len(piece) < _PIECE_BYTES:
                break
    finally:
        os.close(file)
    return b"".join(pieces)


def _reason(error: OSError) -> str:
    problem = error.strerror or str(error)
    return problem[:1].lower() + problem[1:]
