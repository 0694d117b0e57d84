"""Evaluate sources over a tree of files: a live ``/``, a directory, or a tar held in memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

from virtboost.transport.source import MAX_FILE_BYTES, Entries, Failure, Files, Links, Source, clean

_NO_VALUE = {errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.EOPNOTSUPP, errno.ENODATA}
"""What sysfs answers for an attribute that this device does not have: absent, not a failure."""

_MAX_LINKS = 40
"""Symbolic links followed for one path, as Linux does (``MAXSYMLINKS``)."""


class Tree(Protocol):
    """A tree of files; paths begin with ``/``."""

    def names(self, directory: str) -> Sequence[str]:
        """Return the names in a directory; none where it is missing.

        Raises:
            OSError: It is there and cannot be read.
        """
        ...

    def texts(self, directory: str, names: Iterable[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content, or what went wrong, of each of ``names`` that is a file."""
        ...

    def target(self, path: str) -> str | None:
        """Return the real path of a symbolic link, or None where there is none."""
        ...


class FileTree:
    """The files below ``root`` of this machine's file system.

    Below another root than ``/`` no symbolic link leads out of the root: it is followed as if the
    root were ``/``, like ``chroot``.
    """

    def __init__(self, root: str = "/") -> None:
        """Read below ``root``."""
        self._root = "" if root == "/" else os.path.realpath(root)
        self._resolved: dict[str, str | None] = {}

    def names(self, directory: str) -> Sequence[str]:
        """Return the names in a directory; none where it is missing."""
        real = self._real(directory)
        if real is None:
            return ()
        try:
            return os.listdir(real or "/")
        except (FileNotFoundError, NotADirectoryError):
            return ()

    def texts(self, directory: str, names: Iterable[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content, or what went wrong, of each of ``names`` that is a file."""
        real = self._real(directory)
        if real is None:
            return
        try:
            descriptor = os.open(real or "/", os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            yield "", error
            return
        try:
            for name in names:
                content = self._content(descriptor, directory, name)
                if content is not None:
                    yield name, content
        finally:
            os.close(descriptor)

    def target(self, path: str) -> str | None:
        """Return the real path of a symbolic link, or None where there is none."""
        parent, _, name = path.rpartition("/")
        real = self._real(parent)
        if real is None or not os.path.islink(f"{real}/{name}"):
            return None
        if not self._root:
            return os.path.realpath(path)
        resolved = self._resolve(path)
        return None if resolved is None else resolved.removeprefix(self._root)

    def _content(self, descriptor: int, directory: str, name: str) -> bytes | OSError | None:
        flags = os.O_RDONLY | os.O_NONBLOCK
        try:
            file = os.open(name, flags | (os.O_NOFOLLOW if self._root else 0), dir_fd=descriptor)
        except OSError as error:
            if error.errno == errno.ELOOP and self._root:
                return self._linked_content(f"{directory}/{name}")
            return None if error.errno in _NO_VALUE else error
        try:
            return _read_bounded(file, at_once=directory.startswith("/sys/"))
        except OSError as error:
            return None if error.errno in _NO_VALUE or error.errno == errno.EISDIR else error
        finally:
            os.close(file)

    def _linked_content(self, path: str) -> bytes | OSError | None:
        real = self._resolve(path)
        if real is None or not os.path.isfile(real):
            return None
        parent, _, name = real.removeprefix(self._root).rpartition("/")
        return next((content for _, content in self.texts(parent, (name,))), None)

    def _real(self, directory: str) -> str | None:
        """Return where a directory is on this machine, None if nowhere inside the root."""
        if not self._root:
            return directory
        if directory not in self._resolved:
            self._resolved[directory] = None  # what a loop of links finds when it comes back here
            self._resolved[directory] = self._resolve(directory)
        return self._resolved[directory]

    def _resolve(self, path: str) -> str | None:
        """Follow every link of ``path`` with the root as ``/``; None for a loop."""
        followed = 0
        while path:
            parent, _, name = path.rpartition("/")
            if name in ("", "."):
                path = parent
                continue
            real = self._real(parent)
            if real is None or name == "..":
                return None if real is None else self._above(real)
            here = f"{real}/{name}"
            try:
                link = os.readlink(here)
            except OSError:
                return here
            followed += 1
            if followed > _MAX_LINKS:
                return None
            path = link if link.startswith("/") else f"{real.removeprefix(self._root)}/{link}"
        return self._root

    def _above(self, real: str) -> str:
        return real if real == self._root else real.rpartition("/")[0]


class MemoryTree:
    """Files and symbolic links held in memory, as a tar brings them."""

    def __init__(self) -> None:
        """Start empty."""
        self._directories: dict[str, dict[str, bytes | OSError | None]] = {"": {}}
        self._links: dict[str, str] = {}

    def add(self, path: str, content: bytes | OSError) -> None:
        """Put a file at an absolute, normalised ``path``."""
        self._parent(path)[path.rpartition("/")[2]] = content

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link at ``path``; ``target`` is as written in the archive."""
        self._parent(path)[path.rpartition("/")[2]] = None
        self._links[path] = target

    def names(self, directory: str) -> Sequence[str]:
        """Return the names in a directory; none where it is missing."""
        return tuple(self._directories.get(self._resolve(directory) or "?", ()))

    def texts(self, directory: str, names: Iterable[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content, or what went wrong, of each of ``names`` that is a file."""
        for name in names:
            real = self._resolve(f"{directory}/{name}")
            parent, _, last = (real or "").rpartition("/")
            content = self._directories.get(parent, {}).get(last)
            if content is not None:
                yield name, content

    def target(self, path: str) -> str | None:
        """Return the real path of a symbolic link, or None where there is none."""
        parent, _, name = path.rpartition("/")
        real = self._resolve(parent)
        return self._resolve(path) if f"{real}/{name}" in self._links else None

    def _parent(self, path: str) -> dict[str, bytes | OSError | None]:
        parent = path.rpartition("/")[0]
        if parent not in self._directories:
            self._parent(parent)[parent.rpartition("/")[2]] = None
            self._directories[parent] = {}
        return self._directories[parent]

    def _resolve(self, path: str) -> str | None:
        parts = path.strip("/").split("/")[::-1]
        real = ""
        for _ in range(_MAX_LINKS * 64):
            if not parts:
                return real
            part = parts.pop()
            if part in ("", "."):
                continue
            if part == "..":
                real = real.rpartition("/")[0]
                continue
            here = f"{real}/{part}"
            link = self._links.get(here)
            if link is None:
                real = here
                continue
            if link.startswith("/"):
                real = ""
            parts.extend(link.strip("/").split("/")[::-1])
        return None


def read_entries(
    tree: Tree, sources: Iterable[Source], failures: list[Failure]
) -> dict[Files | Links, Entries]:
    """Evaluate every file and link source over ``tree``, adding to ``failures``."""
    entries: dict[Files | Links, Entries] = {}
    for source in sources:
        if isinstance(source, Files):
            entries[source] = _files(tree, source, failures)
        elif isinstance(source, Links):
            entries[source] = _links(tree, source, failures)
    return entries


def _files(tree: Tree, source: Files, failures: list[Failure]) -> Entries:
    plain = not any("*" in name for name in source.names)
    entries: Entries = {}
    for directory in expand(tree, source.directory, failures):
        names = source.names if plain else _matching(tree, directory, source.names, failures)
        texts: dict[str, str] = {}
        for name, content in tree.texts(directory, names):
            if isinstance(content, bytes):
                texts[name] = clean(content)
            else:
                failures.append(Failure(f"{directory}/{name}".rstrip("/"), _reason(content)))
        if texts:
            entries[directory] = texts
    return entries


def _links(tree: Tree, source: Links, failures: list[Failure]) -> Entries:
    entries: Entries = {}
    for directory in expand(tree, source.directory, failures):
        targets = {
            name: target
            for name in _matching(tree, directory, source.names, failures)
            if (target := tree.target(f"{directory}/{name}")) is not None
        }
        if targets:
            entries[directory] = targets
    return entries


def expand(tree: Tree, pattern: str, failures: list[Failure]) -> list[str]:
    """Return the directories that match a glob, sorted as numbers where they are numbered."""
    if "*" not in pattern:
        return [pattern]
    parents = [""]
    for part in pattern.strip("/").split("/"):
        if "*" in part:
            parents = [
                f"{parent}/{name}"
                for parent in parents
                for name in _matching(tree, parent, (part,), failures)
            ]
        else:
            parents = [f"{parent}/{part}" for parent in parents]
    return parents


def _matching(
    tree: Tree, directory: str, patterns: Sequence[str], failures: list[Failure]
) -> list[str]:
    try:
        present = tree.names(directory)
    except OSError as error:
        failures.append(Failure(directory, _reason(error)))
        return []
    chosen = [name for name in present if any(fnmatchcase(name, p) for p in patterns)]
    return sorted(chosen, key=_natural)


def _natural(name: str) -> tuple[str, int, str]:
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    return (stem, int(digits or -1), name) if len(digits) < 18 else (name, -1, name)


def in_natural_order(entries: Entries) -> Entries:
    """Return the same entries with directories sorted as `expand` sorts them."""
    return {
        d: entries[d] for d in sorted(entries, key=lambda d: [_natural(p) for p in d.split("/")])
    }


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _read_bounded(file: int, *, at_once: bool) -> bytes:
    """Read a whole file; sysfs gives a text at once, a /proc file may give it in short pieces."""
    content = os.read(file, 65536)
    if not content or (at_once and len(content) < 4096):
        return content
    chunks = [content]
    total = len(content)
    while chunk := os.read(file, 1 << 20):
        chunks.append(chunk)
        total += len(chunk)
        if total > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, f"larger than {MAX_FILE_BYTES >> 20} MiB")
    return b"".join(chunks)
