"""Ways that a real kernel knows, and what entries need of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import ask
from virtboost.errors import InputError, Unreachable
from virtboost.flow.agent import way
from virtboost.flow.agent.compose import way_line
from virtboost.flow.agent.way import Ways, read_ways
from virtboost.flow.refusal import Refused
from virtboost.flow.underlay import Underlay

SPACE, MAC = f"vbt-way-{os.getpid()}", "02:00:00:00:00:99"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """A network namespace that is asked: ``way0`` with a neighbour, and a gateway to 10.2.0.0/16."""
    inside = ("ip", "netns", "exec", SPACE)
    ask("ip", "netns", "add", SPACE)
    try:
        for words in (
            "link add way0 address 02:00:00:00:00:01 type veth peer name way1",
            "link set way0 up",
            "link set way1 up",
            "address add 10.1.0.1/24 dev way0",
            "address add fd00:1::1/64 dev way0 nodad",
            f"neighbour add 10.1.0.2 lladdr {MAC} dev way0",
            f"neighbour add fd00:1::2 lladdr {MAC} dev way0",
            "route add 10.2.0.0/16 via 10.1.0.2",
            "route add 10.3.0.0/16 via 10.1.0.2 mtu 1400",
        ):
            ask(*inside, "ip", *words.split())
        monkeypatch.setattr(way, "ASK", (*inside, *way.ASK))
        yield inside
    finally:
        ask("ip", "netns", "del", SPACE)


def found(end: str) -> Underlay:
    known = read_ways([end])[end]
    assert isinstance(known, Underlay), known
    return known


@pytest.mark.needs_root
@pytest.mark.xdist_group("flow-way")
@pytest.mark.usefixtures("host")
def test_ways_by_address() -> None:
    """Asked together, some without a route, a neighbour, or the device's MTU among them."""
    ends = ("10.9.0.1", "10.1.0.2", "fd00:1::2", "10.2.3.4", "10.1.0.77", "10.3.0.1")
    known = read_ways(ends)
    assert list(known) == list(ends)
    for end, here in (
        ("10.1.0.2", "10.1.0.1"),
        ("fd00:1::2", "fd00:1::1"),
        ("10.2.3.4", "10.1.0.1"),
    ):
        assert known[end] == found(end)
        told = found(end)
        assert (told.device, str(told.here), str(told.there)) == ("way0", here, end)
        assert (told.address, told.neighbour) == (0x020000000001, 0x020000000099)
    for end in ("10.9.0.1", "10.1.0.77", "10.3.0.1"):
        assert isinstance(known[end], Refused)


@pytest.mark.needs_root
@pytest.mark.xdist_group("flow-way")
def test_an_entry_needs_the_way_that_it_was_made_of(host: tuple[str, ...]) -> None:
    ways = Ways()
    line = way_line(ways.to("10.1.0.2"))
    assert ways.look({line}) == {line: 0}
    ask(
        *host,
        "ip",
        "neighbour",
        "replace",
        "10.1.0.2",
        "lladdr",
        "02:00:00:00:00:98",
        "dev",
        "way0",
    )
    assert ways.look({line}).keys().isdisjoint({line})
    assert ways.look(set()) == {}
    with pytest.raises(Refused):
        ways.to("10.9.0.1")


def test_a_program_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way, "ASK", ("true",))
    with pytest.raises(Unreachable, match="neither"):
        read_ways(["10.1.0.2"])
    monkeypatch.setattr(way, "ASK", (str(tmp_path / "ip"),))
    with pytest.raises(InputError, match="iproute2"):
        read_ways(["10.1.0.2"])
