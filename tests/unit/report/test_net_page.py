"""The page of a network's plan: charts have every line where its values are."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from lxml import html

from support.networks import described
from virtboost.net.curve import Curve, Curves, Point, curves
from virtboost.net.plan import plan
from virtboost.report.net_page import HEIGHT, SHOWN, WIDTH, chart, plan_page

NETWORK = described(running="calico-mesh")


def line(*points: tuple[int, float, bool]) -> Curves:
    made = tuple(Point(nodes=n, value=value, extrapolated=guess) for n, value, guess in points)
    return Curves(quantity="restart", curves=(Curve(design="calico-mesh", points=made),))


def test_a_line_is_where_its_values_are() -> None:
    """1 to 100 s over five decades of nodes: each factor of ten is half the height, a fifth of the width."""
    found = chart(line((1, 1, False), (10, 10, False), (1000, 100, True)), plan(NETWORK))
    (drawn,) = found.lines
    assert drawn.measured == f"M0.0 {HEIGHT}.0 L{WIDTH / 5} {HEIGHT / 2}"
    assert drawn.guessed == f"M{WIDTH / 5} {HEIGHT / 2} L{WIDTH * 3 / 5} 0.0"
    assert drawn.letter == "A"
    assert [drawn.x, drawn.y] == pytest.approx([WIDTH * 3 / 5, 0])
    assert [tick.label for tick in found.up] == ["1 s", "10 s", "100 s"]
    assert [tick.at for tick in found.up] == pytest.approx([HEIGHT, HEIGHT / 2, 0])
    assert [tick.label for tick in found.across] == ["1", "10", "100", "1,000", "10,000", "100,000"]
    assert found.here == pytest.approx(WIDTH * 3 / 5)


def test_zero_is_at_the_bottom() -> None:
    found = chart(line((1, 0, False), (10, 5, False), (100, 50, False)), plan(NETWORK))
    assert found.lines[0].measured.startswith(f"M0.0 {HEIGHT}.0")


def test_nothing_but_zeros_is_a_chart_too() -> None:
    found = chart(line((1, 0, False), (10, 0, False)), plan(NETWORK))
    assert found.lines[0].measured == f"M0.0 {HEIGHT}.0 L{WIDTH / 5} {HEIGHT}.0"


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


def test_a_mesh_is_drawn_to_where_it_ends() -> None:
    (scores, *_) = curves(NETWORK, SHOWN)
    mesh = next(curve for curve in scores.curves if curve.design == "calico-mesh")
    assert math.log10(mesh.points[-1].nodes) == pytest.approx(2, abs=1 / 12)


def test_the_page_has_every_design_once() -> None:
    made = plan(NETWORK)
    text = plan_page(made, curves(NETWORK, SHOWN), made_at=datetime(2026, 1, 2, tzinfo=UTC))
    page = html.fromstring(text)
    shown = [
        "".join(map(str, row.findall("td")[1].itertext())) for row in page.findall(".//tbody/tr")
    ]
    out = page.findall(".//section[@aria-labelledby='out']//li")
    names = [name.rstrip(" *") for name in shown]
    names += ["".join(map(str, each.itertext())).split(":")[0].split()[1] for each in out]
    assert sorted(names) == sorted(each.name for each in made.candidates)
    assert len(page.findall(".//svg")) == 1 + len(SHOWN)
    assert len(page.findall(".//section[@aria-labelledby='move']//li")) == len(made.migration)


def test_a_page_without_a_design() -> None:
    network = described(wants=["userspace", "tenancy"])
    page = plan_page(
        plan(network), curves(network, SHOWN), made_at=datetime(2026, 1, 2, tzinfo=UTC)
    )
    assert "No design serves this network" in page
