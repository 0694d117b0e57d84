"""Golden files: output that was looked at, kept, and compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.daemon import exclusive

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate",
        action="store_true",
        help="write the golden files anew; the difference in git is the review",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with a golden file, or write it with ``--regenerate``."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / name
        if request.config.getoption("--regenerate"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        assert text == file.read_text()

    return compare


@pytest.fixture
def kernel_at_rest() -> Iterator[None]:
    """Nobody changes the kernel's settings meanwhile; only tests of root do."""
    if os.geteuid() != 0:
        yield
        return
    with exclusive("kernel"):
        yield
