"""``virtboost density``: how full hosts are, what is stranded, and what to move."""

from __future__ import annotations

from virtboost.cli.hosts import HOST_FAILED, AsJson, Hosts, on_each_host, readers


def density(host: Hosts = None, *, json: AsJson = False) -> int:
    """Say how full hosts are, which guests straddle nodes, and the fewest moves that help.

    Room is counted for guests of the sizes that run there. Nothing is changed.
    """
    from virtboost.cli.output import print_document, tell_failures
    from virtboost.errors import VirtboostError
    from virtboost.plan.density_fleet import density as density_of
    from virtboost.report.density import density_lines
    from virtboost.scan.host import scan

    chosen = readers(host)
    names = [reader.name for reader in chosen]
    results = on_each_host(chosen, scan, "scan")
    failed = tell_failures(names, results)
    read = zip(names, results, strict=True)
    found = density_of([(name, one) for name, one in read if not isinstance(one, VirtboostError)])
    print_document(found, lambda width: density_lines(found, width=width), json=json)
    return HOST_FAILED if failed else 0
