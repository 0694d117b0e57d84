"""Sizes and lists as people read them."""

import pytest

from virtboost.model.wording import argument_size, listed, size


@pytest.mark.parametrize(
    ("count_bytes", "text", "argument"),
    [
        (64 << 10, "64 KiB", "64K"),
        (2 << 20, "2 MiB", "2M"),
        (512 << 20, "512 MiB", "512M"),
        (1 << 30, "1 GiB", "1G"),
        (3 << 29, "1.5 GiB", "1536M"),
        (16 << 30, "16 GiB", "16G"),
        (5 << 40, "5 TiB", "5120G"),
        (1000, "1000 B", "1000"),
    ],
)
def test_size(count_bytes: int, text: str, argument: str) -> None:
    assert (size(count_bytes), argument_size(count_bytes)) == (text, argument)


def test_a_long_list_is_cut() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed("abcdefg") == "a, b, c, d and 3 more"
