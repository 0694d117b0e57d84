"""The archive that Linux boots from: cpio in its ``newc`` form.

Source: Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from pathlib import Path

_TRAILER = "TRAILER!!!"


class Archive:
    """Files, folders and links, in the order in which they are put in."""

    def __init__(self) -> None:
        """Begin an empty one."""
        self._parts: list[bytes] = []
        self._folders: set[str] = set()
        self._count = 0

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Put a file in, and the folders that it is in."""
        self._parents(path)
        self._entry(path, stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link in."""
        self._parents(path)
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def folder(self, path: str, mode: int = 0o755) -> None:
        """Put a folder in, and those that it is in."""
        if path not in self._folders:
            self._parents(path)
            self._folders.add(path)
            self._entry(path, stat.S_IFDIR | mode, b"")

    def copy(self, path: str, source: Path) -> None:
        """Put in what a file is, its content or where it links to."""
        if source.is_symlink():
            self.link(path, str(source.readlink()))
        else:
            self.file(path, source.read_bytes(), source.stat().st_mode & 0o777)

    def content(self) -> bytes:
        """Return the archive."""
        return b"".join((*self._parts, self._bytes(_TRAILER, 0, b"")))

    def _parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent:
            self.folder(parent)

    def _entry(self, path: str, mode: int, content: bytes) -> None:
        self._parts.append(self._bytes(path, mode, content))

    def _bytes(self, path: str, mode: int, content: bytes) -> bytes:
        self._count += 1
        name = path.encode() + b"\0"
        fields = (self._count, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        return _padded(header + name) + _padded(content)


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)
