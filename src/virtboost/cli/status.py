"""``virtboost status``: what was changed, and what still holds."""

from __future__ import annotations

import sys

from virtboost.cli.apply import Host_
from virtboost.cli.hosts import AsJson

DRIFTED = 1
"""Exit status where a setting is no longer what was written."""


def status(host: Host_ = "local", *, json: AsJson = False) -> int:
    """Show the changesets of a host that are not undone, and which of their settings still hold."""
    from virtboost.apply.execute import read_now
    from virtboost.cli.changes import changeset_document, journal, say, writable
    from virtboost.model.document import to_json

    changesets = [each for each in journal().changesets(host) if each.open]
    paths = {record.setting.path for each in changesets for record in each.records}
    now = read_now(writable(host).reader, sorted(paths)) if paths else {}
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
            held = "holds" if record["holds"] else f"drifted to {record['now']}"
            word = "undone" if record["state"] == "undone" else held
            say(f"  {record['path']}: {record['prior']} -> {record['value']}: {word}")
    return DRIFTED if drifted else 0
