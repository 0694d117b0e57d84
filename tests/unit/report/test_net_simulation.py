"""What is told of simulations: seeds merged, seconds as people read them, pictures by size."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from lxml import html

from support.networks import described
from virtboost.net.simulate.outcome import Distribution
from virtboost.net.simulate.sweep import Sweep, study
from virtboost.report.net_simulation import merged, seconds, simulation_lines
from virtboost.report.net_simulation_page import simulation_page


def spread(*values: float) -> Distribution:
    least, p50, p95, p99, most, mean = values
    return Distribution(count=9, least=least, p50=p50, p95=p95, p99=p99, most=most, mean=mean)


def test_seeds_are_merged_to_medians_and_to_what_none_exceeds() -> None:
    found = merged([spread(1, 2, 3, 4, 5, 2), spread(0, 4, 5, 6, 9, 4), spread(2, 3, 9, 9, 9, 6)])
    assert found == spread(0, 3, 5, 6, 9, 4)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1e-5, "<0.0001"),
        (0.00123, "0.0012"),
        (0.5, "0.5000"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
    ],
)
def test_seconds_have_as_many_digits_as_count(value: float, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize("width", [60, 80, 140])
def test_lines_keep_to_the_width(width: int) -> None:
    network = described(churn={"pods_per_s": 3}, policies={"selectors": 5, "pods": 9})
    found = study(
        Sweep(network=network, design="calico-rack-reflectors", seeds=(0, 1), sizes=(30, 400))
    )
    for line in simulation_lines(found, width):
        assert len(line) <= width
        assert line.isprintable()


def test_one_size_needs_no_picture_and_says_everything_at_once() -> None:
    sweep = Sweep(
        network=described(nodes=400), design="calico-rack-reflectors", scenarios=("start",)
    )
    page = html.fromstring(simulation_page(study(sweep), made_at=datetime(2026, 1, 2, tzinfo=UTC)))
    assert page.findall(".//figure") == []
    (table,) = page.findall(".//details")
    assert "open" in table.attrib
    assert any("peers of a daemon" in str(text) for text in page.itertext())
