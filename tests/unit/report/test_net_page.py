"""The page of a network's plan: what is built, every design once, a picture for each quantity."""

from __future__ import annotations

from datetime import UTC, datetime

from lxml import html

from support.networks import described
from virtboost.net.curve import curves
from virtboost.net.description import Network
from virtboost.net.plan import DESIGNS, plan
from virtboost.report.net_page import SHOWN, plan_page

NETWORK = described(running="calico-mesh")


def shown_page(network: Network) -> html.HtmlElement:
    text = plan_page(
        plan(network), network, curves(network, SHOWN), made_at=datetime(2026, 1, 2, tzinfo=UTC)
    )
    return html.fromstring(text)


def test_curves_are_what_a_plan_says_at_its_size() -> None:
    made = plan(NETWORK)
    for each in curves(NETWORK, SHOWN):
        for curve in each.curves:
            candidate = next(found for found in made.candidates if found.name == curve.design)
            here = [point for point in curve.points if point.nodes == 1000]
            assert bool(here) == (candidate.score is not None)
            if here and each.quantity == "score":
                assert here[0].value == candidate.score
            elif here:
                assert here[0].value == candidate.quantities[each.quantity].value
            sizes = [point.nodes for point in curve.points]
            assert sizes == sorted(set(sizes))


def test_the_page_has_every_design_once() -> None:
    made = plan(NETWORK)
    page = shown_page(NETWORK)
    shown = [
        "".join(map(str, row.findall("td")[1].itertext()))
        for row in page.findall(".//section[@aria-labelledby='side']//tbody/tr")
    ]
    out = page.findall(".//section[@aria-labelledby='out']//li")
    names = [name.rstrip(" *") for name in shown]
    names += ["".join(map(str, each.itertext())).split(":")[0].split()[1] for each in out]
    assert sorted(names) == sorted(each.name for each in made.candidates)
    assert len(page.findall(".//section[@aria-labelledby='by-size']//figure")) == 1 + len(SHOWN)
    each = page.findall(".//section[@aria-labelledby='each']//h3")
    assert [found.text_content()[2:] for found in each] == sorted(
        {curve.design for curve in curves(NETWORK, SHOWN)[1].curves}, key=list(DESIGNS).index
    )
    assert len(page.findall(".//section[@aria-labelledby='move']//li")) == len(made.migration)


def test_the_page_says_how_failures_are_noticed() -> None:
    made = plan(NETWORK)
    rows = shown_page(NETWORK).findall(".//section[@aria-labelledby='failures']//tbody/tr")
    assert len(rows) == len(made.detections) == 12
    (bold,) = (row for row in rows if row.find(".//strong") is not None)
    assert [each.chosen for each in made.detections].index(True) == rows.index(bold)
    cells = [cell.text_content() for cell in rows[2].findall("td")]
    assert cells[:3] == ["hold 90 s", "off", "37.5-90"]


def test_a_page_without_a_design() -> None:
    page = shown_page(described(wants=["userspace", "tenancy"]))
    assert "No design serves this network" in page.text_content()
    assert page.findall(".//svg") == []


def test_every_picture_has_words() -> None:
    page = shown_page(NETWORK)
    (built,) = page.findall(".//svg[@aria-labelledby]")
    named = [page.get_element_by_id(each) for each in built.get("aria-labelledby", "").split()]
    assert [each.tag for each in named] == ["title", "desc"]
    assert "All 8 reflectors peer with each other: 28 sessions." in named[1].text_content()
    for figure in page.findall(".//figure[@class='chart']"):
        assert figure.find("svg").get("aria-label")
    labels = [each.get("aria-label") for each in page.findall(".//svg[@aria-label]")]
    assert any("calico-mesh validated from 1 to 100 nodes" in label for label in labels)
