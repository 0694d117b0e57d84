"""TC without links, as below Linux 6.6: what is put in front of a device, what is left, and whose it stays.

What is there is told by ``tc``.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.bpf import build, plane
from support.daemon import ask, need
from support.netns import own_network
from virtboost.flow.clsact import Filter
from virtboost.flow.dataplane import HOOKS, DataPlane, NotLoaded, libbpf

pytestmark = pytest.mark.needs_root


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bpf")
    build(folder)
    return folder


@pytest.fixture
def device() -> Iterator[str]:
    need("ip", "tc")
    with own_network():
        ask("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
        yield "near"


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for a hook that no kernel has, as BPF_TCX_INGRESS is for those below 6.6: EINVAL."""
    monkeypatch.setitem(HOOKS, "tc", 999)


def filters(device: str, side: str = "ingress") -> list[tuple[str, str]]:
    """Return kind and program of the filters, in their order, each once."""
    told: list[dict[str, Any]] = json.loads(
        ask("tc", "-j", "filter", "show", "dev", device, side) or "[]"
    )
    found = [(each["kind"], each.get("options", {})) for each in told]
    names = [(kind, options.get("prog", {}).get("name", "")) for kind, options in found if options]
    return list(dict.fromkeys(names))


def qdiscs(device: str) -> list[str]:
    told = json.loads(ask("tc", "-j", "qdisc", "show", "dev", device))
    return [each["kind"] for each in told if each["kind"] in ("clsact", "ingress")]


def index(device: str) -> int:
    return socket.if_nametoindex(device)


OURS = ("bpf", "flow_tc")


def in_a_process_that_is_killed(act: Callable[[], object]) -> None:
    process = os.fork()
    if not process:
        try:
            kept = act()
            assert kept is not None
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(process, 0)


def attached(objects: Path, device: str) -> DataPlane:
    made = DataPlane("tc", size=1, objects=objects)
    made.attach(index(device))
    return made


@pytest.mark.usefixtures("no_links")
def test_it_comes_and_goes(objects: Path, device: str) -> None:
    with plane("tc", objects) as loaded:
        loaded.attach(index(device))
        assert (qdiscs(device), filters(device)) == (["clsact"], [OURS])
    assert (qdiscs(device), filters(device)) == ([], [])


@pytest.mark.parametrize("qdisc", ["clsact", "ingress"])
@pytest.mark.usefixtures("no_links")
def test_the_qdisc_of_somebody_else_stays(objects: Path, device: str, qdisc: str) -> None:
    ask("tc", "qdisc", "add", "dev", device, qdisc)
    with plane("tc", objects) as loaded:
        loaded.attach(index(device))
        assert (qdiscs(device), filters(device)) == ([qdisc], [OURS])
    assert (qdiscs(device), filters(device)) == ([qdisc], [])


def add_a_filter(device: str, side: str) -> None:
    where = ("dev", device, side, "protocol", "all", "prio", "7")
    ask("tc", "filter", "add", *where, "u32", "match", "u32", "0", "0", "flowid", "1:1")


@pytest.mark.parametrize("side", ["ingress", "egress"])
@pytest.mark.usefixtures("no_links")
def test_a_filter_that_somebody_adds_stays_and_keeps_clsact(
    objects: Path, device: str, side: str
) -> None:
    with plane("tc", objects) as loaded:
        loaded.attach(index(device))
        add_a_filter(device, side)
    assert qdiscs(device) == ["clsact"]
    assert [kind for kind, _ in filters(device, side)] == ["u32"]
    assert OURS not in filters(device)


def test_it_comes_behind_filters_that_are_there(objects: Path, device: str) -> None:
    """Also where the kernel has links: those come before every filter."""
    ask("tc", "qdisc", "add", "dev", device, "clsact")
    add_a_filter(device, "ingress")
    with plane("tc", objects) as loaded:
        loaded.attach(index(device))
        assert filters(device)[-1] == OURS
    assert [kind for kind, _ in filters(device)] == ["u32"]


@pytest.mark.parametrize("there", [False, True], ids=["made for it", "there before"])
@pytest.mark.usefixtures("no_links")
def test_what_a_killed_process_left_is_replaced(objects: Path, device: str, there: bool) -> None:  # noqa: FBT001
    if there:
        ask("tc", "qdisc", "add", "dev", device, "clsact")
    in_a_process_that_is_killed(lambda: attached(objects, device))
    assert (qdiscs(device), filters(device)) == (["clsact"], [OURS])
    with plane("tc", objects) as loaded:
        loaded.attach(index(device))
        assert filters(device) == [OURS]
    assert (qdiscs(device), filters(device)) == (["clsact"] * there, [])


@pytest.mark.usefixtures("no_links")
def test_what_was_left_at_another_device_goes_too(objects: Path, device: str) -> None:
    in_a_process_that_is_killed(lambda: attached(objects, device))
    with plane("tc", objects) as loaded:
        loaded.attach(index("far"))
        assert (qdiscs(device), filters(device)) == ([], [])
        assert filters("far") == [OURS]


@pytest.mark.usefixtures("no_links")
def test_what_is_in_use_is_not_replaced(objects: Path, device: str) -> None:
    with plane("tc", objects) as first, plane("tc", objects) as second:
        first.attach(index(device))
        with pytest.raises(NotLoaded, match="another process has it there"):
            second.attach(index(device))
        assert filters(device) == [OURS]


def other_program() -> int:
    """Return a classifier of another name: r0 = -1; exit."""
    code = b"\xb7\0\0\0\xff\xff\xff\xff" + b"\x95\0\0\0\0\0\0\0"
    found: int = libbpf().bpf_prog_load(3, b"other", b"GPL", code, ctypes.c_size_t(2), None)
    assert found > 0
    return found


@pytest.mark.usefixtures("no_links")
def test_a_program_of_another_name_is_nobody_we_know(objects: Path, device: str) -> None:
    """Even where it has the handle and the priority of ours."""
    other = other_program()
    in_a_process_that_is_killed(lambda: Filter(libbpf(), other, index(device)))
    os.close(other)
    assert filters(device) == [("bpf", "other")]
    with plane("tc", objects) as loaded:
        loaded.attach(index(device))
        assert sorted(filters(device)) == [OURS, ("bpf", "other")]
    assert (qdiscs(device), filters(device)) == (["clsact"], [("bpf", "other")])


@pytest.mark.usefixtures("no_links")
def test_a_device_that_goes_takes_it_along(objects: Path, device: str) -> None:
    with plane("tc", objects) as loaded:
        loaded.attach(index(device))
        ask("ip", "link", "del", device)


@pytest.mark.usefixtures("no_links", "device")
def test_no_device_is_said(objects: Path) -> None:
    with plane("tc", objects) as loaded, pytest.raises(NotLoaded, match="No such device"):
        loaded.attach(10**6)
