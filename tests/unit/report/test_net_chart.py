"""Charts of a network's plan: every line where its values are, shaded where it is validated."""

from __future__ import annotations

import itertools
import math
import re

import pytest

from support.networks import described
from virtboost.net.curve import Curve, Curves, Point, curves
from virtboost.net.plan import plan
from virtboost.report.net_chart import BIG, SMALL, chart, colours, panels

NETWORK = described(running="calico-mesh")


def line(*points: tuple[int, float, bool]) -> Curves:
    made = tuple(
        Point(nodes=n, value=value, low=value, high=value, extrapolated=guess)
        for n, value, guess in points
    )
    return Curves(quantity="restart", curves=(Curve(design="calico-mesh", points=made),))


def test_a_line_is_where_its_values_are() -> None:
    """1 to 100 s over five decades of nodes: each factor of ten is half the height, a fifth of the width."""
    found = chart(line((1, 1, False), (10, 10, False), (1000, 100, True)), plan(NETWORK))
    (drawn,) = found.lines
    assert drawn.measured == f"M0.0 {BIG.height}.0 L{BIG.width / 5} {BIG.height / 2}"
    assert drawn.guessed == f"M{BIG.width / 5} {BIG.height / 2} L{BIG.width * 3 / 5} 0.0"
    assert drawn.letter == "A"
    assert [drawn.x, drawn.y] == pytest.approx([BIG.width * 3 / 5, 0])
    assert [tick.label for tick in found.up] == ["1 s", "10 s", "100 s"]
    assert [tick.at for tick in found.up] == pytest.approx([BIG.height, BIG.height / 2, 0])
    assert [tick.label for tick in found.across] == ["1", "10", "100", "1,000", "10,000", "100,000"]
    assert found.here == pytest.approx(BIG.width * 3 / 5)


def test_zero_is_at_the_bottom() -> None:
    found = chart(line((1, 0, False), (10, 5, False), (100, 50, False)), plan(NETWORK))
    assert found.lines[0].measured.startswith(f"M0.0 {BIG.height}.0")


def test_nothing_but_zeros_is_a_chart_too() -> None:
    found = chart(line((1, 0, False), (10, 0, False)), plan(NETWORK))
    assert found.lines[0].measured == f"M0.0 {BIG.height}.0 L{BIG.width / 5} {BIG.height}.0"


def test_a_mesh_is_drawn_to_where_it_ends() -> None:
    (scores,) = curves(NETWORK, ())
    mesh = next(curve for curve in scores.curves if curve.design == "calico-mesh")
    assert math.log10(mesh.points[-1].nodes) == pytest.approx(2, abs=1 / 12)


def test_shaded_is_where_no_law_is_stretched() -> None:
    """Of 1, 10 and 100 nodes measured and 1,000 not: three fifths less one of the width."""
    points = ((1, 1, False), (10, 1, False), (100, 1, False), (1000, 1, True), (10_000, 1, False))
    found = chart(line(*points), plan(NETWORK), "calico-mesh")
    assert found.shade == pytest.approx((0, BIG.width * 2 / 5))
    assert found.note == "validated"
    assert found.text.endswith("calico-mesh validated from 1 to 100 nodes")
    found = chart(line((1, 1, True), (10, 1, True)), plan(NETWORK), "calico-mesh")
    assert (found.shade, found.note) == (None, "validated nowhere")
    assert found.text.endswith("calico-mesh validated nowhere")
    assert chart(line((1, 1, False)), plan(NETWORK)).note == ""


def test_an_interval_is_around_its_line() -> None:
    """1 to 100 s: an interval from half to twice of 10 s is 15 % of the height up and down."""
    points = tuple(
        Point(nodes=n, value=v, low=v / 2, high=v * 2, extrapolated=False)
        for n, v in ((1, 1.0), (10, 10.0), (100, 100.0))
    )
    drawn = Curves(quantity="restart", curves=(Curve(design="calico-mesh", points=points),))
    band = chart(drawn, plan(NETWORK), "calico-mesh").band
    places = [tuple(map(float, each)) for each in re.findall(r"([-.\d]+) ([-.\d]+)", band)]
    assert len(places) == 6
    half, step = BIG.height / 2, BIG.height * math.log10(2) / 2
    assert places[1] == pytest.approx((BIG.width / 5, half - step), abs=0.1)
    assert places[4] == pytest.approx((BIG.width / 5, half + step), abs=0.1)


def test_what_has_no_upper_end_has_no_band() -> None:
    points = (Point(nodes=1, value=1, low=1, high=None, extrapolated=True),) * 2
    drawn = Curves(quantity="restart", curves=(Curve(design="calico-mesh", points=points),))
    assert chart(drawn, plan(NETWORK), "calico-mesh").band == ""


def test_break_even_is_marked_where_the_design_changes() -> None:
    made = plan(NETWORK)
    found = chart(curves(NETWORK, ())[0], made, "calico-rack-reflectors")
    firsts = [span.first_nodes for span in made.spans[1:]]
    assert [each.label for each in found.breaks] == [f"{nodes:,}" for nodes in firsts]
    assert [each.at for each in found.breaks] == pytest.approx(
        [BIG.width * math.log10(nodes) / 5 for nodes in firsts]
    )
    (taken,) = found.taken
    assert taken[0] == pytest.approx(BIG.width * math.log10(301) / 5)


def test_letters_at_the_end_of_lines_stand_apart() -> None:
    point = Point(nodes=100, value=10, low=10, high=10, extrapolated=False)
    first = Point(nodes=1, value=1, low=1, high=1, extrapolated=False)
    alike = tuple(
        Curve(design=name, points=(first, point))
        for name in ("calico-mesh", "calico-ipip", "calico-vxlan", "ovs-vxlan")
    )
    found = chart(Curves(quantity="restart", curves=alike), plan(NETWORK))
    places = sorted(each.label_y for each in found.lines)
    assert all(above + 13 <= below for above, below in itertools.pairwise(places))
    assert len({each.y for each in found.lines}) == 1


def test_each_design_has_a_panel_of_its_own() -> None:
    made = plan(NETWORK)
    memory = curves(NETWORK, ("node_memory",))[1]
    found = panels(memory, made)
    assert [each.focus for each in found] == [curve.design for curve in memory.curves]
    assert all(each.frame.width == SMALL.width and len(each.lines) == len(found) for each in found)
    mesh = next(each for each in found if each.focus == "calico-mesh")
    assert mesh.shade == pytest.approx((0, SMALL.width * 2 / 5), abs=SMALL.width / 60)


def test_designs_that_matter_have_colours() -> None:
    made = plan(NETWORK)
    found = colours(made)
    assert found["calico-rack-reflectors"] == 0
    assert {span.design for span in made.spans} <= set(found)
    assert sorted(found.values()) == list(range(len(found)))
    assert "ovn-central" not in found
