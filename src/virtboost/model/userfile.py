"""Files that people write: YAML, with the line of each mistake and what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
import yaml

from virtboost.errors import ParseError
from virtboost.model.document import decode_hook

T = TypeVar("T")

MAX_BYTES = 1 << 20
"""A larger file was not written by a person."""

_PATH = re.compile(r" - at `(key` in `)?\$([^`]*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `([^`]*)`")


class _Loader(yaml.SafeLoader):
    """YAML with the plain scalars of YAML 1.2: ``on`` and ``12:30`` are texts, as people expect."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _form, _first in (
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?\d+", "-+0123456789"),
    ("float", r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?", "-+0123456789."),
    ("null", r"~|null|", ["~", "n", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_form})$"), _first)


def from_yaml(text: str, kind: type[T], source: str) -> T:
    """Read a file that a person wrote.

    Args:
        text: YAML, or JSON.
        kind: A ``msgspec.Struct`` class that forbids unknown fields.
        source: The file's name, for messages.

    Raises:
        ParseError: It is not YAML or not such a file: with the line, and for an unknown key the
            known one that is most like it.
    """
    if len(text) > MAX_BYTES:
        raise ParseError(source, f"larger than {MAX_BYTES >> 20} MiB")
    root = _compose(text, source)
    try:
        value = _Loader("").construct_document(root)
        return msgspec.convert(value, kind, dec_hook=decode_hook)
    except yaml.MarkedYAMLError as error:
        raise _marked(error, source) from error
    except (msgspec.ValidationError, RecursionError, ValueError) as error:
        raise _explained(error, kind, root, source) from error


def _compose(text: str, source: str) -> yaml.Node:
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise _marked(error, source) from error
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        # The last two come of escapes such as \UFFFFFFFF, which no character has.
        problem = str(error).splitlines()[0] if str(error) else "nested too deep"
        raise ParseError(source, f"not YAML: {problem}") from error
    if root is None:
        raise ParseError(source, "empty")
    _refuse_repetition(root, source, seen=set())
    return root


def _marked(error: yaml.MarkedYAMLError, source: str) -> ParseError:
    line = None if error.problem_mark is None else error.problem_mark.line + 1
    return ParseError(source, f"not YAML: {error.problem}", line=line)


def _refuse_repetition(node: yaml.Node, source: str, seen: set[int]) -> None:
    """Refuse aliases, which can blow a small file up, and keys that stand twice."""
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise ParseError(source, "YAML aliases (*name) are not allowed here", line=line)
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _refuse_repetition(child, source, seen)
    elif isinstance(node, yaml.MappingNode):
        keys = set()
        for key, child in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    line = key.start_mark.line + 1
                    raise ParseError(source, f"{key.value!r} stands here twice", line=line)
                keys.add(key.value)
            _refuse_repetition(child, source, seen)


def _explained(error: Exception, kind: type, root: yaml.Node, source: str) -> ParseError:
    message = str(error) or "nested too deep"
    match = _PATH.search(message)
    steps = list(_steps(match[2])) if match else []
    problem = _PATH.sub("", message)
    if match and match[1]:
        problem = "a key is not text"
    unknown = _UNKNOWN_FIELD.search(message)
    if unknown:
        steps.append(unknown[1])
        problem = f"unknown key {unknown[1]!r}{_suggestion(unknown[1], kind)}"
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    where = f"{place.lstrip('.')}: " if place and not unknown else ""
    return ParseError(source, f"{where}{problem}", line=_line(root, steps))


def _steps(path: str) -> Iterator[str | int]:
    for match in _STEP.finditer(path):
        if match[1] is not None:
            yield match[1]
        elif match[2] is not None:
            yield int(match[2])


def _line(node: yaml.Node, steps: list[str | int]) -> int:
    """Return the line (from 1) of the deepest step that can be followed."""
    line = node.start_mark.line + 1
    for step in steps:
        child = _child(node, step)
        if child is None:
            break
        key, node = child
        line = key.start_mark.line + 1
    return line


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    if isinstance(node, yaml.MappingNode):
        return next(((key, child) for key, child in node.value if key.value == str(step)), None)
    return None


def _suggestion(name: str, kind: type) -> str:
    known = sorted({field for struct in _structs(kind, set()) for field in struct})
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _structs(kind: Any, seen: set[Any]) -> Iterator[tuple[str, ...]]:
    """Yield the field names of every struct that ``kind`` holds."""
    info = msgspec.inspect.type_info(kind) if isinstance(kind, type) else kind
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls in seen:
            return
        seen.add(info.cls)
        yield tuple(field.encode_name for field in info.fields)
        for field in info.fields:
            yield from _structs(field.type, seen)
    for name in ("item_type", "key_type", "value_type"):
        if hasattr(info, name):
            yield from _structs(getattr(info, name), seen)
    for child in (*getattr(info, "types", ()), *getattr(info, "item_types", ())):
        yield from _structs(child, seen)
