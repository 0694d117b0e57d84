"""Text in columns: wide characters, long words, nothing lost."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from virtboost.report.columns import fitted, padded, wrapped


def test_wide_characters_take_two_columns() -> None:
    assert fitted("数据库服务器", 12) == "数据库服务器"
    assert fitted("数据库服务器", 11) == "数据库服..."
    assert padded("数据", 6) == "数据  "


def test_words_wrap_below_each_other() -> None:
    assert list(wrapped("found: one two three", 14, indent=2, hang=2)) == [
        "  found: one",
        "    two three",
    ]


@given(st.text(max_size=300), st.integers(min_value=20, max_value=120))
def test_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = list(wrapped(text, width, indent=2, hang=4))
    assert all(cell_len(line) <= width for line in lines)
    kept = "".join("".join(lines).split())
    plain = "".join(char for char in text if char.isascii() and char.isalnum())
    assert plain in "".join(char for char in kept if char.isascii() and char.isalnum()) or not (
        text.isprintable()
    )
    assert cell_len(fitted(text, width)) <= width
