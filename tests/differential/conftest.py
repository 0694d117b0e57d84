"""Two worlds that the tests of a worker share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from differential.world import World, world


@pytest.fixture(scope="session")
def worlds() -> Iterator[tuple[World, World]]:
    """Stock, and one that may become another.  Tests that use them are in the group ``worlds``."""
    with TemporaryDirectory(prefix="virtboost-") as folder:
        with world(Path(folder) / "stock") as stock, world(Path(folder) / "fast") as fast:
            yield stock, fast
