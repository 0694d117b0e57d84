"""Files that a user names, read as text."""

from __future__ import annotations

from pathlib import Path

from virtboost.errors import InputError, ParseError
from virtboost.model.userfile import MAX_BYTES


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """Return the text of a file.

    Raises:
        InputError: It cannot be read, is no text, or is larger than ``max_bytes``.
    """
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > max_bytes:
        raise InputError(f"{path}: larger than {max_bytes >> 20} MiB")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ParseError(str(path), "not text in UTF-8") from error


def write_document(path: Path, document: object) -> None:
    """Write a document as JSON, so that it is there whole or not at all.

    Raises:
        InputError: It cannot be written.
    """
    from virtboost.model.document import to_json
    from virtboost.transport.recorded import write_whole

    try:
        write_whole(path.resolve(), f"{to_json(document)}\n".encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
