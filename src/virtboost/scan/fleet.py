"""Many hosts, read side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from virtboost.errors import VirtboostError
from virtboost.transport.source import Reader

T = TypeVar("T")

MAX_AT_ONCE = 32
"""Hosts read at the same time: each is a process of ``ssh`` here."""


def each_host(
    readers: Sequence[Reader], read: Callable[[Reader], T]
) -> Iterator[tuple[int, T | VirtboostError]]:
    """Call ``read`` on every host, yielding (index, result or error) as each is done.

    An error of one host is its result; the others go on.
    """
    if len(readers) == 1:
        yield 0, _result(read, readers[0])
        return
    with ThreadPoolExecutor(max_workers=MAX_AT_ONCE) as pool:
        futures = {pool.submit(_result, read, reader): i for i, reader in enumerate(readers)}
        for future in as_completed(futures):
            yield futures[future], future.result()


def in_order(results: Iterable[tuple[int, T]]) -> list[T]:
    """Return the results in the order of the hosts."""
    return [result for _, result in sorted(results, key=lambda pair: pair[0])]


def _result(read: Callable[[Reader], T], reader: Reader) -> T | VirtboostError:
    try:
        return read(reader)
    except VirtboostError as error:
        return error
