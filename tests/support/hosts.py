"""Hypothesis strategies of hosts, built from the model's own types."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from support.cases import CASES, load, patched_host
from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host

CPUS = st.integers(0, 20) | st.just(4096)

CPUSETS = st.builds(CpuSet, st.frozensets(CPUS, max_size=6)) | st.builds(
    lambda first, count: CpuSet(range(first, first + count)), CPUS, st.integers(0, 16)
)

NUMBERS = (
    st.sampled_from([0, 1, 2, 4, 16, 4096, 65536, 2 << 20, 512 << 20, 1 << 30, 64 << 30])
    | st.integers(0, 20)
    | st.integers(0, 2**63 - 1)
)
"""A scan reads natural numbers only, and bounds them."""


@cache
def words() -> list[str]:
    """Return every text of the catalogue's cases: those that items look for are among them."""
    found: set[str] = set()
    for file in CASES.glob("catalogue/*/*.json"):
        found.update(_texts(load(file).get("host", {})))
    return sorted(found)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield from value.split()
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


@cache
def case_hosts() -> list[Host]:
    """Return the hosts of the catalogue's cases."""
    files = sorted(CASES.glob("catalogue/*/*.json"))
    return [patched_host(load(file)["host"]) for file in files]


def of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Return a strategy of a type of the model."""
    match kind:
        case inspect.CustomType(cls=cls) if cls is CpuSet:
            strategy: st.SearchStrategy[Any] = CPUSETS
        case inspect.StructType(cls=cls):
            strategy = structs(cls)
        case inspect.UnionType(types=types):
            strategy = st.one_of(*map(of, types))
        case inspect.VarTupleType(item_type=item):
            strategy = st.lists(of(item), max_size=3).map(tuple)
        case inspect.DictType(key_type=key, value_type=value):
            keys = CPUS if isinstance(key, inspect.IntType) else of(key)
            strategy = st.dictionaries(keys, of(value), max_size=3)
        case inspect.LiteralType(values=values):
            strategy = st.sampled_from(values)
        case _:
            strategy = _SCALARS[type(kind)]
    return strategy


_SCALARS: dict[type, st.SearchStrategy[Any]] = {
    inspect.StrType: st.deferred(lambda: st.sampled_from(words())) | st.text(max_size=8),
    inspect.IntType: NUMBERS,
    inspect.FloatType: st.floats(),
    inspect.BoolType: st.booleans(),
    inspect.NoneType: st.none(),
}


@cache
def fields(cls: Any) -> dict[str, st.SearchStrategy[Any]]:
    """Return a strategy for each field of a struct; a scan bounds ids of CPUs and counts."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    bounded = {"pcpu_id": CPUS, "vcpu_count": st.integers(0, 600)}
    return {
        field.name: bounded[field.name] if field.name in bounded else of(field.type)
        for field in info.fields
    }


@cache
def structs(cls: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of a struct of the model: any value in any field."""
    return st.builds(cls, **fields(cls))


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """Return a struct with one field, its own or one of a part, replaced by any value."""
    name = draw(st.sampled_from(sorted(fields(value.__class__))))
    part = getattr(value, name)
    if isinstance(part, msgspec.Struct) and draw(st.booleans()):
        new = draw(changed(part))
    elif isinstance(part, tuple) and part and isinstance(part[0], msgspec.Struct):
        index = draw(st.integers(0, len(part) - 1))
        new = (*part[:index], draw(changed(part[index])), *part[index + 1 :])
    else:
        new = draw(fields(value.__class__)[name])
    return msgspec.structs.replace(value, **{name: new})


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    """Return any host: one that makes no sense, or a case's with up to four fields replaced."""
    if draw(st.booleans()):
        host: Host = draw(structs(Host))
        return host
    host = draw(st.sampled_from(case_hosts()))
    for _ in range(draw(st.integers(1, 4))):
        host = draw(changed(host))
    return host
