"""The engine: conditions before objects, and what hides them."""

import msgspec
import pytest

from support.cases import patched_host
from virtboost.catalogue.item import HOST, NO_FIGURE, Condition, Item, Ok, Outcome, Subjects
from virtboost.catalogue.wanted import Wanted
from virtboost.check.judge import check
from virtboost.model.host import Host

GUESTS = Condition(
    when="a guest runs",
    otherwise="no guest runs",
    holds=lambda host: bool(host.running_guests),
    gap="guests",
)


def told(host: Host, _: Host, wanted: Wanted) -> Outcome:
    return Ok(f"wanted {wanted.text!r}")


def item(applies: tuple[Condition, ...] = (), subjects: Subjects[Host] = HOST) -> Item[Host]:
    return Item(
        id="memory.test",
        title="",
        layer="host",
        platforms=("kvm",),
        severity="advice",
        takes_effect="live",
        risk="",
        effect=NO_FIGURE,
        why="",
        sources=(),
        by_hand="",
        undo_by_hand="",
        applies=applies,
        subjects=subjects,
        judge=told,
    )


GAP = {"gaps": [{"what": "guests", "path": "virsh", "reason": "permission denied"}]}

GUEST = {
    "guests": [
        {
            "name": "web",
            "state": "running",
            "accelerated": True,
            "vcpu_count": 1,
            "max_vcpu_count": 1,
            "vcpu_pins": {},
            "memory_bytes": 1 << 30,
        }
    ]
}


@pytest.mark.parametrize(
    ("host", "verdict", "text"),
    [
        ({}, "not_applicable", "no guest runs"),
        (GAP, "unknown", "guests (virsh: permission denied)"),
        ({**GUEST, **GAP}, "ok", "wanted ''"),
        (GUEST, "ok", "wanted ''"),
    ],
)
def test_a_condition_that_does_not_hold_may_be_hidden(
    host: dict[str, object], verdict: str, text: str
) -> None:
    (result,) = check(patched_host(host), [item((GUESTS,))], name="h").results
    assert (result.verdict, result.found or result.reason) == (verdict, text)


def test_no_object_may_be_hidden_too() -> None:
    nothing: Subjects[Host] = Subjects(
        kind="guest", select=lambda host: (), none="there are none", gap="guests"
    )
    for host, verdict in (({}, "not_applicable"), (GAP, "unknown")):
        (result,) = check(patched_host(host), [item(subjects=nothing)], name="h").results
        assert (result.object, result.verdict) == ("guest", verdict)


def test_an_item_for_a_proof_of_concept_is_judged_only_where_it_is_asked_for() -> None:
    poc = msgspec.structs.replace(item(), usage="poc_only")
    for asked, verdict in ((False, "not_applicable"), (True, "ok")):
        (result,) = check(patched_host({}), [poc], name="h", proof_of_concept=asked).results
        assert (result.object, result.verdict) == ("host", verdict)
