"""The workloads that virtboost knows, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from virtboost.prove.shipped.form import Shipped
from virtboost.report.columns import wrapped


def workload_lines(known: Iterable[Shipped], *, width: int) -> Iterator[str]:
    """Yield what each shows, its figures and its options."""
    for each in known:
        yield from wrapped(f"{each.name}: {each.meaning}", width)
        for metric in each.metrics:
            unit = f", {metric.unit}" if metric.unit else ""
            text = f"{metric.name}{unit}, {metric.better} is better: {metric.meaning}"
            yield from wrapped(text, width, indent=2)
        for option in each.options:
            default = f" [{option.default}]" if option.default != "" else ""
            yield from wrapped(f"{option.name}{default}: {option.meaning}", width, indent=4)
        yield ""
