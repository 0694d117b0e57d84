"""A check of any host, however odd, ends with a result for every item."""

from hypothesis import HealthCheck, given, settings

from support.hosts import hosts
from virtboost.catalogue.catalogue import ITEMS
from virtboost.check.judge import check
from virtboost.model.document import from_json, to_json
from virtboost.model.finding import Report
from virtboost.model.host import Host


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hosts())
def test_a_check_never_raises(host: Host) -> None:
    report = check(host, ITEMS, name="any", proof_of_concept=True)
    assert {result.item for result in report.results} == {item.id for item in ITEMS}
    for result in report.results:
        if result.verdict == "finding":
            assert result.found is not None and result.wanted and result.reason, result
        elif result.verdict != "ok":
            assert result.reason, result


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hosts())
def test_a_report_is_a_document(host: Host) -> None:
    report = check(host, ITEMS, name="any", proof_of_concept=True)
    assert from_json(to_json(report), Report, "report") == report
