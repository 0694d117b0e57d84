"""``virtboost density``: how full hosts are, what is stranded, and what to move."""

from __future__ import annotations

import sys

from virtboost.cli.hosts import HOST_FAILED, AsJson, Hosts, on_each_host, readers


def density(host: Hosts = None, *, json: AsJson = False) -> int:
    """Say how full hosts are, which guests straddle nodes, and the fewest moves that help.

    Room is counted for guests of the sizes that run there. Nothing is changed.
    """
    from virtboost.cli.output import tell_failures
    from virtboost.cli.reports import terminal_width
    from virtboost.errors import VirtboostError
    from virtboost.model.document import to_json
    from virtboost.plan.density_fleet import density as density_of
    from virtboost.report.density import density_lines
    from virtboost.scan.host import scan

    chosen = readers(host)
    names = [reader.name for reader in chosen]
    results = on_each_host(chosen, scan, "scan")
    failed = tell_failures(names, results)
    read = zip(names, results, strict=True)
    found = density_of([(name, one) for name, one in read if not isinstance(one, VirtboostError)])
    if json:
        sys.stdout.write(to_json(found) + "\n")
    else:
        sys.stdout.writelines(f"{x}\n" for x in density_lines(found, width=terminal_width()))
    return HOST_FAILED if failed else 0
