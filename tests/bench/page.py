"""``docs/benchmarks.md``: a section for each benchmark, with machine, versions and date."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"

HEAD = """\
# Benchmarks

The last results of `make bench`; each section says where and when it was measured.
Ours and the peer ran in turn, in one run on one machine, which was virtual and shared: trust the
ratios more than the times. A cell is the median (least to most) of the runs.
"""


def write(name: str, title: str, versions: Sequence[str], text: str) -> None:
    """Put the section ``name`` into the page, in place of the one that is there."""
    before = PAGE.read_text() if PAGE.exists() else HEAD
    section = f"<!-- {name} -->\n## {title}\n\n{_machine(versions)}\n\n{text}\n<!-- end {name} -->"
    pattern = re.compile(rf"<!-- {name} -->.*<!-- end {name} -->", re.DOTALL)
    if pattern.search(before):
        after = pattern.sub(lambda _: section, before)
    else:
        after = f"{before.rstrip()}\n\n{section}\n"
    PAGE.write_text(after)


def _machine(versions: Sequence[str]) -> str:
    cpu = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith(("model name", "CPU part"))
    )
    facts = (
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        f"{cpu}, {os.cpu_count()} CPUs, {platform.machine()}",
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}",
        *versions,
    )
    return "; ".join(facts) + "."
