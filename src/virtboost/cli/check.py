"""``virtboost check``: what is wrong with a host."""

from __future__ import annotations

from virtboost.cli.hosts import HOST_FAILED, AsJson, Hosts, on_each_host, readers

FOUND = 1
"""Exit status where there are findings."""


def check(host: Hosts = None, *, json: AsJson = False) -> int:
    """Hold hosts against the catalogue of tuning items; change nothing."""
    from virtboost.catalogue.catalogue import ITEMS
    from virtboost.check.judge import check as judge
    from virtboost.cli.output import print_documents, tell_failures
    from virtboost.errors import VirtboostError
    from virtboost.scan.host import scan

    chosen = readers(host)
    results = on_each_host(
        chosen, lambda reader: judge(scan(reader), ITEMS, name=reader.name), "check"
    )
    names = [reader.name for reader in chosen]
    failed = tell_failures(names, results)
    if json:
        print_documents(names, results, "virtboost.checks/1", "checks")
    if failed:
        return HOST_FAILED
    reports = [result for result in results if not isinstance(result, VirtboostError)]
    return FOUND if any(report.findings for report in reports) else 0
