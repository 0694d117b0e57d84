"""A plan on a terminal, as it was looked at."""

from collections.abc import Callable

import pytest

from support.cases import patched_host
from support.placements import workload
from virtboost.plan.plan import plan_host
from virtboost.report.plan import plan_lines

ASKED = workload(
    [
        {"name": "db", "vcpus": 2, "memory": "2GiB", "huge_pages": "auto", "iothreads": 1},
        {"name": "wide", "vcpus": 5, "memory": "4GiB", "locality": "bandwidth"},
        {"name": "vdi", "template": "desktop", "count": 2, "vcpus": 1, "memory": "1GiB"},
        {"name": "giant", "vcpus": 64, "memory": "1GiB"},
    ],
    host={"cpus": 1, "memory": "1GiB"},
)


@pytest.mark.parametrize("verbose", [False, True])
def test_lines(golden: Callable[[str, str], None], *, verbose: bool) -> None:
    host = patched_host({})
    made = plan_host(host, ASKED, limit_s=0)
    lines = list(plan_lines(host, made, verbose=verbose, width=80))
    assert max(map(len, lines)) <= 80
    name = f"report/plan-80{'-verbose' if verbose else ''}.txt"
    golden(name, "".join(f"{line}\n" for line in lines))


def test_a_name_cannot_write_on_the_terminal() -> None:
    host = patched_host({"hostname": "kp\x1b[2J"})
    made = plan_host(host, ASKED, limit_s=0)
    assert "\x1b" not in "".join(plan_lines(host, made, verbose=True, width=80))
