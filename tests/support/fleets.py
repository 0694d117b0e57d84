"""The data set of VM placement, and a reader and judge of plans that are not the product's."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from support.captures import ROOT
from virtboost.model.fleet_plan import FleetRequest, FleetServer
from virtboost.plan.fleet_file import request_table, rows_of_csv, server_table

FOLDER = ROOT.parent / "shared" / "datasets" / "vm-placement"
SERVERS = FOLDER / "servers.csv"


def sequence(name: str) -> Path:
    """Return the file of a sequence of requests, ``c1``."""
    path = FOLDER / f"requests_{name}.csv"
    if not path.exists():
        pytest.skip(f"no data set: {path}")
    return path


def servers(every: int = 1) -> tuple[FleetServer, ...]:
    return server_table(rows_of_csv(SERVERS.read_text())[::every], "servers.csv")


def requests(name: str) -> tuple[FleetRequest, ...]:
    return request_table(rows_of_csv(sequence(name).read_text()), name)


def judged(document: dict[str, Any], name: str, every: int = 1) -> Counter[str]:
    """Count what is wrong with a plan of the whole data set, from its JSON and the tables alone."""
    with SERVERS.open() as file:
        rows = list(csv.DictReader(file))[::every]
    with sequence(name).open() as file:
        asked = list(csv.DictReader(file))
    free = [[[int(r["CPU1"]), int(r["RAM1"])], [int(r["CPU2"]), int(r["RAM2"])]] for r in rows]
    on: defaultdict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    wrong: Counter[str] = Counter()
    for each in document["assignments"]:
        row = asked[each["request"]]
        cells = [(c["node"], c["vcpus"], c["memory_bytes"] >> 30) for c in each["cells"]]
        share = (int(row["flavor_vcpus"]), int(row["flavor_ram"]), int(row["numa"]))
        wrong["size"] += [c[1:] for c in cells] != [
            (share[0] // share[2], share[1] // share[2])
        ] * share[2]
        wrong["cells on one node"] += len({node for node, _, _ in cells}) < len(cells)
        for node, vcpus, memory in cells:
            free[each["server"]][node][0] -= vcpus
            free[each["server"]][node][1] -= memory
        if row["strategy"]:
            on[row["strategy"], row["group"]].append((each["server"], row["domain"]))
    wrong["too full"] += sum(value < 0 for server in free for node in server for value in node)
    wrong["twice"] += len(document["assignments"]) - len(
        {each["request"] for each in document["assignments"]}
    )
    for (strategy, _), members in on.items():
        wrong[strategy] += _pairs(strategy, members)
    return +wrong


def _pairs(strategy: str, members: Sequence[tuple[int, str]]) -> int:
    if strategy == "affinity":
        return 0
    domains: defaultdict[int, list[str]] = defaultdict(list)
    for server, domain in members:
        domains[server].append(domain)
    if strategy == "anti-affinity":
        return sum(len(each) - 1 for each in domains.values())
    return sum(len(set(each)) - 1 for each in domains.values())
