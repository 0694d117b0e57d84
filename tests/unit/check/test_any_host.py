"""A check of any host, however odd, ends with a result for every item."""

import resource

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.cases import patched_host
from support.hosts import hosts
from virtboost.catalogue.catalogue import ITEMS
from virtboost.catalogue.wanted import parse_wanted
from virtboost.check.judge import check
from virtboost.model.document import from_json, to_json
from virtboost.model.finding import Report
from virtboost.model.host import Host
from virtboost.report.workload import workloads

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
"""A host is large, which hypothesis warns of."""

WANTED = ("<= 10", ">= 0.5", "!= off", "= on", "none | 1", "0", "lots", "1e400", "<= inf")
"""What a site may want of any item, sense or not."""


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(hosts())
def test_a_check_never_raises(host: Host) -> None:
    report = check(host, ITEMS, name="any", proof_of_concept=True)
    assert {result.item for result in report.results} == {item.id for item in ITEMS}
    for result in report.results:
        if result.verdict == "finding":
            assert result.found is not None and result.wanted is not None and result.reason, result
        elif result.verdict != "ok":
            assert result.reason, result


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(hosts(), st.sampled_from(WANTED).map(parse_wanted))
def test_a_check_never_raises_whatever_the_site_wants(host: Host, wanted: object) -> None:
    items = [
        item if item.wanted is None else msgspec.structs.replace(item, wanted=wanted)
        for item in ITEMS
    ]
    assert check(host, items, name="any", proof_of_concept=True).results


@settings(max_examples=30, deadline=None, suppress_health_check=SLOW)
@given(hosts())
def test_a_report_is_a_document(host: Host) -> None:
    report = check(host, ITEMS, name="any", proof_of_concept=True)
    assert from_json(to_json(report), Report, "report") == report


@pytest.mark.parametrize("pin", [{}, {"0": "4"}])
def test_numbers_that_no_guest_has_take_no_memory(pin: dict[str, str]) -> None:
    """libvirt's XML bounds neither; a set of that many vCPUs would take the machine's memory."""
    guest = {"name": "odd", "vcpu_count": 2**62, "max_vcpu_count": 2**62, "iothread_count": 2**62}
    host = patched_host({"guests": [{**guest, "vcpu_pins": pin}]})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert check(host, ITEMS, name="odd", proof_of_concept=True).results
    assert workloads(host)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
