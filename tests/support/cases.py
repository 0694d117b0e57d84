"""Data-driven cases: a folder of JSON files, each a sentence on why it exists, an input and what
is expected of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from virtboost.model.document import from_json
from virtboost.model.host import Host
from virtboost.transport.recorded import outputs_in
from virtboost.transport.source import Capture, Command, Failure, Source
from virtboost.transport.tree import MemoryTree, read_entries

CASES = Path(__file__).parents[1] / "cases"


def params(folder: str) -> list[Any]:
    """Return a pytest parameter for each case below a folder of ``tests/cases``."""
    files = sorted((CASES / folder).glob("*/*.json"))
    return [pytest.param(file, id=f"{file.parent.name}/{file.stem}") for file in files]


def load(file: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(file.read_text())
    assert case.get("why"), f"{file} does not say why it exists"
    return case


def capture_of(case: dict[str, Any], sources: tuple[Source, ...]) -> Capture:
    """Make a capture of a case's ``files``, ``links`` and ``commands``.

    A command is what it prints, or a list of {status, stdout, stderr} where it runs many times.
    """
    tree = MemoryTree()
    for path, text in case.get("files", {}).items():
        tree.put(path, text.encode())
    for path, target in case.get("links", {}).items():
        tree.put(path, target)
    for name, printed in case.get("commands", {}).items():
        runs = [{"stdout": printed}] if isinstance(printed, str) else printed
        for index, run in enumerate(runs):
            base = f"/virtboost/commands/{name}/{index}"
            tree.put(f"{base}/status", str(run.get("status", 0)).encode())
            tree.put(f"{base}/stdout", run.get("stdout", "").encode())
            tree.put(f"{base}/stderr", run.get("stderr", "").encode())
    failures = [Failure(path, reason) for path, reason in case.get("failures", {}).items()]
    outputs = {
        source: found
        for source in sources
        if isinstance(source, Command) and (found := tuple(outputs_in(tree, source)))
    }
    return Capture(read_entries(tree, sources, failures), outputs, failures)


def patched_host(patch: Mapping[str, Any]) -> Host:
    """Return the base host of the catalogue's cases with a JSON merge patch (RFC 7386) applied.

    A guest or a container of a case is itself a patch, of the one in ``templates.json``.
    """
    base = json.loads((CASES / "catalogue" / "base.json").read_text())
    templates = json.loads((CASES / "catalogue" / "templates.json").read_text())
    host = merge(base, patch)
    for key, template in templates.items():
        host[key] = [merge(template, entry) for entry in host.get(key, ())]
    return from_json(json.dumps(host), Host, "case")


def merge(value: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for key, change in patch.items():
        if change is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), change)
    return merged


def assert_contains(found: Any, expected: Any, path: str = "") -> None:
    """Assert that ``found`` has everything in ``expected``; lists must be equal in length."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            assert key in found, f"{path}.{key} is missing"
            assert_contains(found[key], value, f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(found, list):
        assert len(found) == len(expected), f"{path}: {found} is not {expected}"
        for index, value in enumerate(expected):
            assert_contains(found[index], value, f"{path}[{index}]")
    else:
        assert found == expected, f"{path}: {found!r} is not {expected!r}"
