"""No plan, of any host and any workload, does what no plan may do."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from support.captures import archives, name_of
from support.placements import hosts, violations, workload, workloads
from virtboost.errors import InputError
from virtboost.model.document import from_json, to_json
from virtboost.model.host import Host
from virtboost.model.plan import Plan
from virtboost.model.workload import Workload
from virtboost.plan.plan import plan_host
from virtboost.scan.host import scan
from virtboost.transport.recorded import RecordedReader

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)


def planned(host: Host, asked: Workload, limit_s: float) -> Plan | None:
    """Return the plan, or None where the workload contradicts itself."""
    try:
        return plan_host(host, asked, limit_s=limit_s)
    except InputError as error:
        assert "\n" not in str(error)
        return None


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
@given(hosts(), workloads())
def test_the_heuristic(host: Host, asked: Workload) -> None:
    made = planned(host, asked, 0)
    if made is not None:
        assert list(violations(host, asked, made)) == []


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(hosts(), workloads(4))
def test_the_solver(host: Host, asked: Workload) -> None:
    made = planned(host, asked, 0.2)
    if made is not None:
        assert list(violations(host, asked, made)) == []
        assert made == planned(host, asked, 0.2)
        assert from_json(to_json(made), Plan, "plan") == made


TYPICAL = workload(
    [
        {"name": "db", "template": "database", "vcpus": 4, "memory": "1GiB"},
        {"name": "hpc", "template": "memory-bandwidth", "vcpus": 4, "memory": "1GiB"},
        {"name": "web", "template": "general", "count": 3, "vcpus": 2, "memory": "512MiB"},
        {"name": "vdi", "template": "desktop", "count": 4, "memory": "256MiB"},
        {"name": "nf", "template": "network-function", "vcpus": 3, "memory": "1GiB"},
        {"name": "huge", "vcpus": 200, "memory": "4TiB"},
    ],
    containers=[{"name": "proxy", "template": "service", "vcpus": 2, "memory": "256MiB"}],
)


@pytest.mark.parametrize("archive", archives(), ids=name_of)
def test_every_recording_gets_a_plan_or_a_reasoned_refusal(archive: Path) -> None:
    host = scan(RecordedReader(archive))
    made = plan_host(host, TYPICAL, limit_s=0.1)
    assert list(violations(host, TYPICAL, made)) == []
    assert "huge" in {unplaced.name for unplaced in made.unplaced}
