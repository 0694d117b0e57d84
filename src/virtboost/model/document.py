"""Model values as JSON documents and back."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec

from virtboost.errors import ParseError
from virtboost.model.cpuset import CpuSet
from virtboost.model.size import Size

T = TypeVar("T")

_NOT_ASCII = re.compile(r"[^\n -~]")


def to_builtins(value: object) -> Any:
    """Return ``value`` as dictionaries, lists, strings and numbers; CPU sets are cpulists."""
    return msgspec.to_builtins(value, enc_hook=_encode, str_keys=True)


def to_json(value: object) -> str:
    """Return ``value`` as indented JSON.

    A character that does not print is escaped, not only those that JSON forbids: a terminal takes
    U+009B for the beginning of a command.
    """
    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=_encode)).decode()
    return _NOT_ASCII.sub(lambda match: _shown(match[0]), text)


def from_json(text: str | bytes, kind: type[T], source: str) -> T:
    """Read a document.

    Args:
        text: JSON.
        kind: The model class.
        source: Where the text comes from, for the message.

    Raises:
        ParseError: It is not JSON, or not such a document.
    """
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=decode_hook)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(source, str(error)) from error


def json_schema(kind: type) -> dict[str, Any]:
    """Return the JSON Schema of a model class."""
    return msgspec.json.schema(kind, schema_hook=_schema)


def _shown(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _encode(value: object) -> str:
    if isinstance(value, CpuSet):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON")


def decode_hook(kind: type, value: object) -> object:
    """Read what msgspec does not know: a cpulist, a size with its unit.

    Raises:
        ValueError: The text is neither.
    """
    if kind is CpuSet and isinstance(value, str):
        return CpuSet.parse(value)
    if kind is Size:
        return Size.parse(str(value))
    raise NotImplementedError(f"{kind.__name__} has no form in JSON")


def _schema(kind: type) -> dict[str, Any]:
    if kind is CpuSet:
        return {"type": "string", "description": "A cpulist such as 0-3,8"}
    if kind is Size:
        return {"type": ["string", "integer"], "description": "A size such as 64GiB, or bytes"}
    raise NotImplementedError(f"{kind.__name__} has no form in JSON")
