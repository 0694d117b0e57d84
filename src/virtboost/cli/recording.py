"""Scan with ``--save`` and ``--no-redact``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from virtboost import __version__
from virtboost.model.host import Host
from virtboost.scan.host import SOURCES, parse
from virtboost.transport.recorded import TAR_SUFFIXES, Recording, save
from virtboost.transport.redact import Redactor
from virtboost.transport.source import Reader


def recorder(path: Path | None, *, redact: bool, many: bool) -> Callable[[Reader], Host]:
    """Return a function that scans a host and, with a ``path``, writes its recording."""

    def read(reader: Reader) -> Host:
        capture, name = reader.read(SOURCES), reader.name
        if redact:
            redactor = Redactor()
            capture, name = redactor.capture(capture), redactor.text(name)
        if path is not None:
            about = Recording(
                host=name,
                version=__version__,
                redacted=redact,
                failures=capture.failures,
            )
            save(capture, _place(path, reader.name) if many else path, about)
        return parse(capture)

    return read


def _place(directory: Path, host: str) -> Path:
    """Return where the recording of one of many hosts goes."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = host.removeprefix("ssh://").strip("/")
    for suffix in TAR_SUFFIXES:
        stem = stem.removesuffix(suffix)
    name = re.sub(r"[^\w.@-]+", "_", stem)
    return directory / f"{name}.tar.zst"
