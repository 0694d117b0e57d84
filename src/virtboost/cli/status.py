"""``virtboost status``: what was changed, and what still holds."""

from __future__ import annotations

import sys
from typing import Any

from virtboost.cli.apply import Host_
from virtboost.cli.hosts import AsJson

DRIFTED = 1
"""Exit status where a setting is no longer what was written."""


def status(host: Host_ = "local", *, json: AsJson = False) -> int:
    """Show the changesets of a host that are not undone, and which of their settings still hold."""
    from virtboost.apply.execute import read_now
    from virtboost.cli.changes import changeset_document, journal, said, say, writable
    from virtboost.model.document import to_json

    changesets = [each for each in journal().changesets(host) if each.open]
    paths = {record.setting.path for each in changesets for record in each.records}
    found = read_now(writable(host).reader, sorted(paths)) if paths else {}
    now = {path: each.value for path, each in found.items()}
    documents = [changeset_document(each, now) for each in changesets]
    records = [record for document in documents for record in document["records"]]
    drifted = any(not each["holds"] and each["state"] != "undone" for each in records)
    if json:
        sys.stdout.write(to_json({"schema": "virtboost.status/1", "changesets": documents}) + "\n")
        return DRIFTED if drifted else 0
    if not documents:
        say(f"{host}: nothing is changed")
    for document in documents:
        say(f"changeset {document['id']} of {document['begun_at']}")
        for record in document["records"]:
            say(f"  {record['path']}: {_word(record)}")
            say(*(f"    {line}" for line in said(record["prior"], record["value"])))
    return DRIFTED if drifted else 0


def _word(record: dict[str, Any]) -> str:
    if record["state"] == "undone":
        return "undone"
    if record["holds"]:
        return f"holds, takes effect {record['waits']}" if record["waits"] else "holds"
    now = record["now"]
    return "gone" if now is None else f"drifted to {now.splitlines()[-1]}"
