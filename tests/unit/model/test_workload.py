"""The file that says what is to run: its mistakes are told by line, key and what was meant."""

import pytest

from virtboost.errors import ParseError
from virtboost.model.userfile import from_yaml
from virtboost.model.workload import Workload


def read(text: str) -> Workload:
    return from_yaml(text, Workload, "w.yaml")


def test_a_file_with_everything() -> None:
    workload = read(
        """
host: {cpus: 2, memory: 4GiB}
guests:
- name: db
  vcpus: 16
  memory: 64GiB
  huge_pages: 1GiB
  iothreads: 2
  emulator: own
  devices: [eth0, "0000:7d:01.0"]
  cells: 2
  locality: bandwidth
  anti_affinity: [web]
  nodes: [0, 1]
- {name: web, template: general, count: 3, cpus: shared, overcommit_ratio: 4}
- {name: old, vcpus: 2, memory: 2GiB, pins: {0: 8, 1: 9}}
containers:
- {name: proxy, vcpus: 4, memory: 2GiB, affinity: [web-1]}
"""
    )
    db, web, old = workload.guests
    assert (workload.host.cpus, workload.host.memory) == (2, 4 << 30)
    assert (db.memory, db.devices, db.nodes) == (64 << 30, ("eth0", "0000:7d:01.0"), (0, 1))
    assert web.names() == ("web-1", "web-2", "web-3")
    assert old.pins == {0: 8, 1: 9}
    assert workload.requests()[-1].names() == ("proxy",)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("guests:\n- name: a\n  vcpu: 4\n", 3, "unknown key 'vcpu'; did you mean 'vcpus'?"),
        ("guest: []\n", 1, "unknown key 'guest'; did you mean 'guests'?"),
        ("host: {cpu: 2}\n", 1, "unknown key 'cpu'; did you mean 'cpus'?"),
        ("containers:\n- {name: a, pins: {0: 1}}\n", 2, "unknown key 'pins'"),
        ("guests:\n- name: a\n  memory: -4GiB\n", 3, "'-4GiB' is not a size such as 64GiB"),
        ("guests:\n- {name: a}\n- {name: b, vcpus: 0}\n", 3, "vcpus: from 1 to 4096"),
        ("guests:\n- {name: b, vcpus: -2}\n", 2, "vcpus: from 1 to 4096"),
        ("guests:\n- {name: b, cells: 0}\n", 2, "cells: from 1 on, or auto"),
        ("guests:\n- {name: b, cells: some}\n", 2, "Invalid enum value 'some'"),
        ("guests:\n- {name: b, iothreads: -1}\n", 2, "iothreads: from 0 to 64"),
        ("guests:\n- {name: b, overcommit_ratio: 0.5}\n", 2, "overcommit_ratio: from 1 to 64"),
        ("guests:\n- {name: b, overcommit_ratio: .nan}\n", 2, "Expected `float | null`"),
        ("guests:\n- {name: b, huge_pages: 3MiB}\n", 2, "3MiB is no size of a page"),
        ("guests:\n- {name: b, huge_pages: big}\n", 2, "'big' is not a size"),
        ("guests:\n- {name: b, locality: near}\n", 2, "Invalid enum value 'near'"),
        ("guests:\n- {name: b, nodes: []}\n", 2, "nodes: name one at least"),
        ("guests:\n- {name: b, count: 2, pins: {0: 1}}\n", 2, "pins: of one guest"),
        ("guests:\n- {name: b, count: 100000}\n", 2, "count: from 1 to 10000"),
        ('guests:\n- {name: "a\\x1b[2J"}\n', 2, "not a name"),
        ("guests:\n- {name: ../../etc}\n", 2, "not a name"),
        ("guests:\n- {name: a}\n- {name: a}\n", 1, "two are called 'a'"),
        ("guests:\n- {name: a, count: 2}\n- {name: a-2}\n", 1, "two are called 'a-2'"),
        ("guests:\n- {name: a, affinity: [c]}\n", 1, "a: there is no 'c' to be near or far"),
        ("guests:\n- {vcpus: 2}\n", 2, "missing required field `name`"),
        ("host: {cpus: -1}\n", 1, "cpus: from 0 on, or auto"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(ParseError) as caught:
        read(text)
    assert problem in caught.value.problem
    assert caught.value.line == line
