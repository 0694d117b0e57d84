"""A daemon's datapaths: one of another kind is refused, none at all is waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.unixctl import answering
from virtboost.errors import InputError, Unreachable
from virtboost.flow.agent.link import Link
from virtboost.flow.agent.watch import Watch


@pytest.mark.parametrize(
    ("names", "error", "problem"),
    [("dummy@ovs-dummy\n", InputError, "netdev@ or system@"), ("", Unreachable, "no datapath")],
)
def test_datapaths(tmp_path: Path, names: str, error: type[Exception], problem: str) -> None:
    watch = Watch(lambda _: None)
    with answering(tmp_path / "ctl", (names, None)):
        with pytest.raises(error, match=problem):
            Link(tmp_path / "ctl", watch)
    watch.stop()
