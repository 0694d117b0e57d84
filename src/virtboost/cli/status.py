"""``virtboost status``: what was changed, and what still holds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from virtboost.cli.hosts import AsJson, Hosts, readers

DRIFTED = 1
"""Exit status where a setting is no longer what was written."""


def status(host: Hosts = None, *, json: AsJson = False) -> int:
    """Show the changesets of hosts that are not undone, and which of their settings still hold."""
    from virtboost.model.document import to_json

    documents = {reader.name: _open(reader.name) for reader in readers(host)}
    every = [document for each in documents.values() for document in each]
    records = [record for document in every for record in document["records"]]
    drifted = any(not each["holds"] and each["state"] != "undone" for each in records)
    if json:
        sys.stdout.write(to_json({"schema": "virtboost.status/1", "changesets": every}) + "\n")
    else:
        for name, each in documents.items():
            _show(name, each)
    return DRIFTED if drifted else 0


def _open(host: str) -> list[dict[str, Any]]:
    """Return the changesets of a host that are not undone, with what their settings say now."""
    from virtboost.apply.preflight import read_now
    from virtboost.cli.changes import changeset_document, journal, writable

    changesets = [each for each in journal().changesets(host) if each.open]
    paths = {record.setting.path for each in changesets for record in each.records}
    found = read_now(writable(host).reader, sorted(paths)) if paths else {}
    now = {path: each.value for path, each in found.items()}
    return [changeset_document(each, now) for each in changesets]


def _show(host: str, documents: Sequence[dict[str, Any]]) -> None:
    from virtboost.cli.changes import said, say

    if not documents:
        say(f"{host}: nothing is changed")
    for document in documents:
        say(f"{host}: changeset {document['id']} of {document['begun_at']}, {document['copy']}")
        for record in document["records"]:
            say(f"  {record['path']}: {_word(record)}")
            say(*(f"    {line}" for line in said(record["prior"], record["value"])))


def _word(record: dict[str, Any]) -> str:
    if record["state"] == "undone":
        return "undone"
    if record["holds"]:
        return f"holds, takes effect {record['waits']}" if record["waits"] else "holds"
    now = record["now"]
    return "gone" if now is None else f"drifted to {now.splitlines()[-1]}"
