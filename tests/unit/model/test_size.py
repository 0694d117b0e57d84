"""Sizes that people write; the expected numbers are those of IEC 80000-13 and of libvirt's units."""

import pytest

from virtboost.model.size import Size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1", 1),
        ("4096B", 4096),
        ("1KiB", 1024),
        ("1K", 1024),
        ("1kb", None),
        ("1KB", 1000),
        ("64 GiB", 68719476736),
        ("64g", 68719476736),
        ("1.5 GiB", 1610612736),
        (" 2MB ", 2000000),
        ("1TiB", 1099511627776),
    ],
)
def test_a_size_with_its_unit(text: str, count: int | None) -> None:
    if count is None:
        with pytest.raises(ValueError, match="is not a size"):
            Size.parse(text)
    else:
        assert Size.parse(text) == count


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "1 PiB", "1e9", "0x10", "1,5GiB", "9" * 16])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size such as 64GiB"):
        Size.parse(text)


@pytest.mark.parametrize("text", ["0", "0GiB", "0.5B", "1.0001K"])
def test_a_size_is_positive_and_whole(text: str) -> None:
    with pytest.raises(ValueError, match="is not a positive whole number of bytes"):
        Size.parse(text)
