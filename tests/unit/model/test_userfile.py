"""Files that people write."""

import re

import msgspec
import pytest

from virtboost.errors import ParseError
from virtboost.model.cpuset import CpuSet
from virtboost.model.userfile import MAX_BYTES, from_yaml


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    cpus: CpuSet = CpuSet()
    share: float = 1.0


class Sheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rows: tuple[Row, ...]


def test_plain_words_are_words() -> None:
    sheet = from_yaml("rows:\n- title: on\n- title: no\n- title: 12:30:00\n", Sheet, "f")
    assert [row.title for row in sheet.rows] == ["on", "no", "12:30:00"]


def test_values_have_their_kinds() -> None:
    sheet = from_yaml("rows: [{title: a, cpus: '0-2,7', share: 2}]", Sheet, "f")
    assert sheet.rows == (Row(title="a", cpus=CpuSet([0, 1, 2, 7]), share=2.0),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows:\n - title: a\n - titel: b\n", "f:3: unknown key 'titel'; did you mean 'title'?"),
        ("rows:\n - title: a\n   cpus: 5-1\n", "f:3: rows[0].cpus: '5-1' in a list of CPUs counts down"),
        ("rows:\n - title: a\n   title: b\n", "f:3: 'title' stands here twice"),
        ("? [a]\n: 1\n", "f:1: not YAML: found unhashable key"),
        ("rows:\n - 3: a\n", "f:2: rows[0]: a key is not text"),
        ("rows:\n - title: 3\n", "f:2: rows[0].title: Expected `str`, got `int`"),
        ("rows: &r [{title: a}]\nother: *r\n", "f:1: YAML aliases (*name) are not allowed here"),
        ("rows: [", "f:1: not YAML: "),
        ("rows: !!python/object/apply:os.system [id]", "f:1: not YAML: could not determine a constructor"),
        ("", "f: empty"),
        ("[]", "f:1: Expected `object`, got `array`"),
        ("{}", "f:1: Object missing required field `rows`"),
        ("a: \x00", "f: not YAML: "),
        ('a: "\\UFFFFFFFF"', "f: not YAML: "),
        ("[" * 5000, "f: not YAML: "),
        (" " * (MAX_BYTES + 1), "f: larger than 1 MiB"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=f"^{re.escape(message)}") as caught:
        from_yaml(text, Sheet, "f")
    assert "\n" not in str(caught.value)
